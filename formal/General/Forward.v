(** rules.md, "Balls": the logits of one input of a model with one block, within a radius. *)

From Coq Require Import Reals ZArith List Lra Lia Arith Bool.
From Compact Require Import Spec.Model Spec.General Real.Sums Integer.Dyadic Integer.Matrix Real.ScaledExp Count.Counting.
From Compact Require Import General.Heads General.Exponentials General.Balls General.Tables.
Import ListNotations.
Open Scope R_scope.

(** ** The program *)

(** The bits of a number that is multiplied; only weights near the largest of float64 lead there. *)
Definition longest : Z := 16384.
Definition too_long (x : ball) : bool := (longest <? (bit_length (largest (map Z.abs (centre x))) + 15) / 16 * 16)%Z.

(** What a position adds to a mean: its weight and its value. *)
Definition part := (power * ball)%type.

(** The mean at the lower ends of the weights, and how far others are from it. *)
Definition mean_ball (width : nat) (parts : list part) : option ball :=
  let ends := aligned (map fst parts) in
  let lows := map fst ends in
  let (least, most) := (add_up lows, add_up (map snd ends)) in
  if (least <=? 0)%Z then None else
  let values := map snd parts in
  let off := largest (map radius values) in
  let top := (largest (map (fun v => largest (map Z.abs (centre v))) values) + off)%Z in
  Some {| centre := map (fun s => s / least)%Z (combination width lows (map centre values));
          radius := off + quotient_up (2 * top * (most - least)) least + 1 |}.

(** The maps of one layer, rounded; those of a head for each head. *)
Record rounded := Rounded {
  bits_of : Z; width : nat; asks : list linear; answers : list linear; carries : list linear; mixes : linear;
  to_and_from_neurons : option (linear * linear); reads_out : linear; scales : scaling }.

(** The output matrices of all heads, one under the other. *)
Definition finest (l : list matrix) : Z := fold_right (fun A e => Z.min (exponent A) e) 0%Z l.
Definition stacked (l : list matrix) : matrix := {| rows := flat_map (fun A => rows (in_units_of (finest l) A)) l; exponent := finest l |}.

Definition round_layer (w : layer_weights) (bits : Z) : rounded := {|
  bits_of := bits; width := size_n w;
  asks := maps_of w bits attn_Q attn_bias_Q; answers := maps_of w bits attn_K attn_bias_K; carries := maps_of w bits attn_V attn_bias_V;
  mixes := linear_of bits (stacked (map attn_O (attn_heads w))) (attn_bias_O w);
  to_and_from_neurons := option_map (fun n => (linear_of bits (mlp_in n) (mlp_bias_in n), linear_of bits (mlp_out n) (mlp_bias_out n))) (mlp_of_layer w);
  reads_out := linear_of bits (unembed_U w) (unembed_bias w);
  scales := scaling_of (scale_above w, scale_below w) bits |}.

(** A token at a position, as it is seen: keys and values of all heads; nothing if numbers get too long. *)
Record place := Place { keys : list ball; values : list ball }.

Definition place_of (w : layer_weights) (M : rounded) (p t : nat) : option place :=
  let x := residual_ball w (bits_of M) p t in
  if too_long x then None else Some {| keys := map (fun l => image (bits_of M) l x) (answers M); values := map (fun l => image (bits_of M) l x) (carries M) |}.

Definition queries_at (w : layer_weights) (M : rounded) (r q : nat) : list ball :=
  map (fun l => image (bits_of M) l (residual_ball w (bits_of M) r q)) (asks M).

Fixpoint all_some {A : Type} (l : list (option A)) : option (list A) :=
  match l with
  | [] => Some []
  | None :: _ => None
  | Some a :: rest => match all_some rest with Some more => Some (a :: more) | None => None end
  end.

(** How a query sees it: a part for each head. *)
Fixpoint parts_of (s : scaling) (queries keys values : list ball) : option (list part) :=
  match queries, keys, values with
  | query :: queries', key :: keys', value :: values' =>
      match power_of s query key with
      | None => None
      | Some a => match parts_of s queries' keys' values' with Some more => Some ((a, value) :: more) | None => None end
      end
  | _, _, _ => Some []
  end.

Definition view (M : rounded) (queries : list ball) (at_ : option place) : option (list part) :=
  match at_ with None => None | Some one => parts_of (scales M) queries (keys one) (values one) end.

Definition no_part : part := (Power 0 0 0, Ball [] 0).

(** By position and head, for so many heads. *)
Fixpoint means_of_heads (width heads : nat) (parts : list (list part)) : option (list ball) :=
  match heads with
  | O => Some []
  | S rest =>
      match mean_ball width (map (hd no_part) parts) with
      | None => None
      | Some mean => match means_of_heads width rest (map (@tl part) parts) with Some more => Some (mean :: more) | None => None end
      end
  end.

Definition plus_ball (a b : ball) : ball := {| centre := zip Z.add (centre a) (centre b); radius := radius a + radius b |}.
Definition relu_ball (x : ball) : ball := {| centre := map (Z.max 0) (centre x); radius := radius x |}.

(** The residual after the neurons, if there are any. *)
Definition past_neurons (M : rounded) (x : ball) : option ball :=
  match to_and_from_neurons M with
  | None => Some x
  | Some (into, out) =>
      if too_long x then None else
      let z := relu_ball (image (bits_of M) into x) in
      if too_long z then None else Some (plus_ball (image (bits_of M) out z) x)
  end.

(** The logits, of the residual of the position that is read and the views of all that it sees. *)
Definition logits_of (M : rounded) (residual : ball) (views : list (option (list part))) : option ball :=
  match all_some views with
  | None => None
  | Some parts =>
      match means_of_heads (width M) (length (asks M)) parts with
      | None => None
      | Some means =>
          let mixed := {| centre := flat_map centre means; radius := largest (map radius means) |} in
          if too_long mixed then None else
          match past_neurons M (plus_ball (image (bits_of M) (mixes M) mixed) residual) with
          | None => None
          | Some leaves => if too_long leaves then None else Some (image (bits_of M) (reads_out M) leaves)
          end
      end
  end.

(** ** The mean of a head *)

Lemma add_up_sum : forall l n, length l = n -> IZR (add_up l) = sum n (fun j => IZR (nth j l 0%Z)).
Proof.
  induction l as [|x l IH]; intros [|n] E; try discriminate; [reflexivity|]. cbn [add_up]. rewrite plus_IZR, (IH n) by (simpl in E; lia).
  now rewrite sum_first.
Qed.

Section Mean.
Variables (s : nat) (lo hi u x c : nat -> R) (off V : R).
Hypothesis ends : forall j, (j < s)%nat -> 0 <= lo j <= u j /\ u j <= hi j.
Hypothesis some : 0 < sum s lo.
Hypothesis near : forall j, (j < s)%nat -> Rabs (x j - c j) <= off.
Hypothesis small : forall j, (j < s)%nat -> Rabs (c j) <= V.

Lemma mean_near : Rabs (sum s (fun j => u j * x j) / sum s u - sum s (fun j => lo j * c j) / sum s lo) <= off + 2 * V * (sum s hi - sum s lo) / sum s lo.
Proof.
  set (L := sum s lo) in *. set (U := sum s u). set (H := sum s hi).
  assert (LU : L <= U) by (apply sum_le; intros; now apply ends). assert (UH : U <= H) by (apply sum_le; intros; now apply ends).
  set (m := sum s (fun j => lo j * c j) / L).
  assert (V_pos : 0 <= V).
  { destruct s as [|n]; [unfold L in some; cbn in some; lra|]. apply Rle_trans with (2 := small 0%nat ltac:(lia)). apply Rabs_pos. }
  assert (M : Rabs m <= V).
  { unfold m, Rdiv. rewrite Rabs_mult, (Rabs_right (/ L)) by (apply Rle_ge, Rlt_le, Rinv_0_lt_compat, some).
    apply Rmult_le_reg_r with L; [exact some|]. rewrite Rmult_assoc, Rinv_l, Rmult_1_r by lra.
    apply Rle_trans with (1 := sum_abs _ _). unfold L. rewrite <- sum_scale. apply sum_le. intros j J. destruct (ends j J) as [[A _] _].
    rewrite Rabs_mult, (Rabs_right (lo j)) by lra. specialize (small j J). rewrite (Rmult_comm V). now apply Rmult_le_compat_l. }
  assert (zero : sum s (fun j => lo j * (c j - m)) = 0).
  { rewrite (sum_ext s _ (fun j => lo j * c j - lo j * m)) by (intros; ring). rewrite sum_minus, sum_scale_r. fold L. unfold m. field. lra. }
  assert (E : sum s (fun j => u j * x j) / U - m = (sum s (fun j => u j * (x j - c j)) + sum s (fun j => (u j - lo j) * (c j - m))) / U).
  { replace (sum s (fun j => (u j - lo j) * (c j - m))) with (sum s (fun j => u j * c j) - U * m).
    - rewrite (sum_ext s (fun j => u j * (x j - c j)) (fun j => u j * x j - u j * c j)) by (intros; ring). rewrite sum_minus. field. lra.
    - rewrite (sum_ext s (fun j => (u j - lo j) * (c j - m)) (fun j => u j * c j - u j * m - lo j * (c j - m))) by (intros; ring).
      rewrite !sum_minus, zero, sum_scale_r. fold U. ring. }
  rewrite E. unfold Rdiv. rewrite Rabs_mult, (Rabs_right (/ U)) by (apply Rle_ge, Rlt_le, Rinv_0_lt_compat; lra).
  assert (A : Rabs (sum s (fun j => u j * (x j - c j))) <= U * off).
  { apply Rle_trans with (1 := sum_abs _ _). unfold U. rewrite <- sum_scale_r. apply sum_le. intros j J. destruct (ends j J) as [[A B] _].
    rewrite Rabs_mult, (Rabs_right (u j)) by lra. apply Rmult_le_compat_l; [lra | now apply near]. }
  assert (B : Rabs (sum s (fun j => (u j - lo j) * (c j - m))) <= (H - L) * (2 * V)).
  { apply Rle_trans with (1 := sum_abs _ _). apply Rle_trans with (sum s (fun j => (hi j - lo j) * (2 * V))).
    - apply sum_le. intros j J. destruct (ends j J) as [[A' B'] C']. rewrite Rabs_mult, (Rabs_right (u j - lo j)) by lra.
      apply Rmult_le_compat; [lra | apply Rabs_pos | lra |]. specialize (small j J). apply Rabs_between in M. apply Rabs_between in small.
      apply Rabs_between. lra.
    - rewrite sum_scale_r, sum_minus. fold L H. lra. }
  apply Rle_trans with ((U * off + (H - L) * (2 * V)) * / U).
  { apply Rmult_le_compat_r; [apply Rlt_le, Rinv_0_lt_compat; lra|]. apply Rle_trans with (1 := Rabs_triang _ _). lra. }
  rewrite Rmult_plus_distr_r. apply Rplus_le_compat; [right; field; lra|].
  replace (2 * V * (H - L) * / L) with ((H - L) * (2 * V) * / L) by ring. apply Rmult_le_compat_l; [nra|].
  apply Rinv_le_contravar; lra.
Qed.
End Mean.

Lemma aligned_length : forall l, length (aligned l) = length l.
Proof. intros. unfold aligned. apply map_length. Qed.

Lemma largest_nonneg : forall l, Forall (fun x => (0 <= x)%Z) l -> (0 <= largest l)%Z.
Proof.
  intros [|x l] all; [cbn; lia|]. inversion all as [|? ? X _]; subst. apply Z.le_trans with (1 := X). apply largest_ge. now left.
Qed.

Lemma mean_ball_holds : forall bits n parts W V b, (0 < length parts)%nat ->
  (forall j, (j < length parts)%nat -> encloses bits (fst (nth j parts no_part)) (W j) /\ holds_vector bits (snd (nth j parts no_part)) n (V j)) ->
  mean_ball n parts = Some b -> holds_vector bits b n (fun a => sum (length parts) (fun j => W j * V j a) / sum (length parts) W).
Proof.
  intros bits n parts W V b some each E. set (s := length parts) in *. unfold mean_ball in E.
  set (ends := aligned (map fst parts)) in *. set (lows := map fst ends) in *.
  set (least := add_up lows) in *. set (most := add_up (map snd ends)) in *.
  destruct (least <=? 0)%Z eqn:positive; [discriminate|]. apply Z.leb_gt in positive.
  set (vs := map snd parts) in *. set (off := largest (map radius vs)) in *. set (size := largest (map (fun v => largest (map Z.abs (centre v))) vs)) in *.
  inversion E; subst b. clear E.
  assert (Le : length ends = s) by (unfold ends; now rewrite aligned_length, map_length).
  assert (Ll : length lows = s) by (unfold lows; now rewrite map_length).
  assert (Lv : length vs = s) by (unfold vs; now rewrite map_length).
  assert (at_v : forall j, (j < s)%nat -> nth j vs (Ball [] 0) = snd (nth j parts no_part)).
  { intros j J. unfold vs. now apply (nth_map _ _ snd _ j no_part). }
  destruct (aligned_between bits (map fst parts) (map W (seq 0 s))) as (unit & unit_pos & all).
  { assert (G : forall l from, (forall j, (j < length l)%nat -> encloses bits (fst (nth j l no_part)) (W (from + j)%nat)) ->
      Forall2 (encloses bits) (map fst l) (map W (seq from (length l)))).
    { clear. induction l as [|a l IH]; intros from all; cbn [map length seq]; constructor.
      - specialize (all 0%nat ltac:(cbn; lia)). now rewrite Nat.add_0_r in all.
      - apply IH. intros j J. specialize (all (S j) ltac:(cbn; lia)). cbn [nth] in all. now replace (S from + j)%nat with (from + S j)%nat by lia. }
    apply G. intros j J. now apply each. }
  fold ends in all.
  assert (ends_j : forall j, (j < s)%nat -> 0 <= IZR (nth j lows 0%Z) <= W j * unit /\ W j * unit <= IZR (nth j (map snd ends) 0%Z)).
  { intros j J. assert (Bj : between unit (nth j ends (0, 0)%Z) (W j)).
    { clear - all J Le. assert (G : forall l from, Forall2 (between unit) l (map W (seq from (length l))) -> forall j, (j < length l)%nat -> between unit (nth j l (0, 0)%Z) (W (from + j)%nat)).
      { clear. induction l as [|e l IH]; intros from F j J; [cbn in J; lia|]. cbn [length seq map] in F. inversion F; subst. destruct j as [|j]; cbn [nth].
        - now rewrite Nat.add_0_r.
        - replace (from + S j)%nat with (S from + j)%nat by lia. apply IH; [assumption | cbn in J; lia]. }
      apply (G ends 0%nat); [now rewrite Le | lia]. }
    destruct Bj as [A [B C]]. apply (IZR_le 0) in A. unfold lows. rewrite (nth_map _ _ fst _ j (0, 0)%Z), (nth_map _ _ snd _ j (0, 0)%Z) by lia. lra. }
  assert (EL : IZR least = sum s (fun j => IZR (nth j lows 0%Z))) by now apply add_up_sum.
  assert (EM : IZR most = sum s (fun j => IZR (nth j (map snd ends) 0%Z))) by (apply add_up_sum; now rewrite map_length).
  assert (off_ge : forall j, (j < s)%nat -> (radius (snd (nth j parts no_part)) <= off)%Z).
  { intros j J. unfold off. apply largest_ge. rewrite <- at_v by exact J. apply in_map, nth_In. lia. }
  assert (off_nonneg : (0 <= off)%Z) by (destruct (each 0%nat some) as [_ (_ & A & _)]; specialize (off_ge 0%nat some); lia).
  assert (size_ge : forall j a, (j < s)%nat -> (a < n)%nat -> Rabs (IZR (nth a (centre (nth j vs (Ball [] 0))) 0%Z)) <= IZR size).
  { intros j a J A. rewrite <- abs_IZR. apply IZR_le. apply Z.le_trans with (largest (map Z.abs (centre (nth j vs (Ball [] 0))))).
    - apply largest_ge. apply in_map, nth_In. rewrite at_v by exact J. destruct (each j J) as [_ (-> & _)]. exact A.
    - unfold size. apply largest_ge. apply (in_map (fun v => largest (map Z.abs (centre v)))), nth_In. lia. }
  assert (size_nonneg : (0 <= size)%Z).
  { unfold size. apply largest_nonneg, Forall_forall. intros z I. apply in_map_iff in I. destruct I as (v & <- & _). apply largest_nonneg, Forall_forall.
    intros y J. apply in_map_iff in J. destruct J as (y' & <- & _). lia. }
  apply IZR_lt in positive as P.
  assert (LM : IZR least <= IZR most) by (rewrite EL, EM; apply sum_le; intros j J; destruct (ends_j j J); lra). apply le_IZR in LM.
  pose proof (quotient_up_ge (2 * (size + off) * (most - least)) least positive) as doubt.
  set (D := quotient_up _ least) in *.
  assert (D_nonneg : (0 <= D)%Z).
  { apply le_IZR. apply Rmult_le_reg_r with (IZR least); [exact P|]. rewrite Rmult_0_l. apply Rle_trans with (2 := doubt). apply IZR_le. nia. }
  assert (lengths : Forall (fun row => length row = n) (map centre vs)).
  { rewrite Forall_map. apply Forall_forall. intros v I. apply (In_nth _ _ (Ball [] 0)) in I. destruct I as (j & J & <-). rewrite Lv in J. rewrite at_v by exact J.
    now destruct (each j J) as [_ (-> & _)]. }
  split; [|split].
  - cbn [centre]. rewrite map_length. now apply combination_length.
  - cbn [radius]. lia.
  - intros a A. cbn [centre radius]. rewrite (nth_map _ _ _ _ a 0%Z) by (now rewrite combination_length).
    set (N := nth a (combination n lows (map centre vs)) 0%Z).
    assert (EN : IZR N = sum s (fun j => IZR (nth j lows 0%Z) * IZR (nth a (centre (nth j vs (Ball [] 0))) 0%Z))).
    { unfold N. rewrite (combination_sum n s) by (rewrite ?map_length; assumption). apply sum_ext. intros j J. now rewrite (nth_map _ _ centre _ j (Ball [] 0)) by lia. }
    pose proof (mean_near s (fun j => IZR (nth j lows 0%Z)) (fun j => IZR (nth j (map snd ends) 0%Z)) (fun j => W j * unit) (fun j => V j a * pow2 bits)
      (fun j => IZR (nth a (centre (nth j vs (Ball [] 0))) 0%Z)) (IZR off) (IZR size) ends_j) as near.
    cbv beta in near. rewrite <- EN, <- EL, <- EM in near. specialize (near P).
    assert (same : sum s (fun j => W j * unit * (V j a * pow2 bits)) / sum s (fun j => W j * unit) = sum s (fun j => W j * V j a) / sum s W * pow2 bits).
    { rewrite (sum_ext s _ (fun j => W j * V j a * (unit * pow2 bits))) by (intros; ring). rewrite !sum_scale_r.
      assert (0 < sum s W * unit).
      { apply Rlt_le_trans with (1 := P). rewrite EL, <- sum_scale_r. apply sum_le. intros j J. destruct (ends_j j J). lra. }
      field. split; [nra|]. nra. }
    rewrite same in near. clear same. specialize (near ltac:(intros j J; rewrite at_v by exact J; apply Rle_trans with (IZR (radius (snd (nth j parts no_part))));
      [destruct (each j J) as [_ (_ & _ & B)]; now apply B | apply IZR_le; now apply off_ge]) ltac:(intros j J; now apply size_ge)).
    assert (F : Rabs (IZR N / IZR least - IZR (N / least)) <= 1).
    { pose proof (quotient_down_le N least positive) as Q1. pose proof (Z.mul_succ_div_gt N least positive) as Q2. apply IZR_lt in Q2.
      rewrite mult_IZR, succ_IZR in Q2. apply Rabs_between.
      assert (EQ : IZR N = IZR N / IZR least * IZR least) by (field; lra). rewrite EQ in Q1, Q2. nra. }
    assert (G : 2 * IZR size * (IZR most - IZR least) / IZR least <= IZR D).
    { apply Rmult_le_reg_r with (IZR least); [exact P|]. unfold Rdiv. rewrite Rmult_assoc, Rinv_l, Rmult_1_r by lra.
      apply Rle_trans with (2 := doubt). rewrite !mult_IZR, minus_IZR, plus_IZR. apply (IZR_le 0) in off_nonneg, size_nonneg. apply IZR_le in LM. simpl (IZR 2). nra. }
    apply Rabs_between in near. apply Rabs_between in F. apply Rabs_between. rewrite !plus_IZR. simpl (IZR 1). lra.
Qed.

(** ** Sums and neurons *)

Lemma plus_holds : forall bits a b n f g, holds_vector bits a n f -> holds_vector bits b n g -> holds_vector bits (plus_ball a b) n (fun i => f i + g i).
Proof.
  intros bits a b n f g (La & Ra & A) (Lb & Rb & B). split; [now apply zip_length|]. split; [cbn [plus_ball radius]; lia|].
  intros i I. cbn [plus_ball centre radius]. rewrite zip_nth by lia. specialize (A i I). specialize (B i I).
  rewrite !plus_IZR. apply Rabs_between in A. apply Rabs_between in B. apply Rabs_between. lra.
Qed.

Lemma relu_holds : forall bits x n f, holds_vector bits x n f -> holds_vector bits (relu_ball x) n (fun i => Rmax 0 (f i)).
Proof.
  intros bits x n f (Len & R & near). split; [cbn [relu_ball centre]; now rewrite map_length|]. split; [exact R|].
  intros i I. cbn [relu_ball centre radius]. rewrite (nth_map _ _ _ _ i 0%Z) by lia. specialize (near i I). set (c := nth i (centre x) 0%Z) in *.
  pose proof (pow2_pos bits) as P. set (u := f i * pow2 bits) in *.
  assert (E : Rmax 0 (f i) * pow2 bits = Rmax 0 u).
  { unfold u, Rmax. destruct (Rle_dec 0 (f i)), (Rle_dec 0 (f i * pow2 bits)); try nra. }
  assert (M : IZR (Z.max 0 c) = Rmax 0 (IZR c)).
  { destruct (Z.max_spec 0 c) as [[L ->]|[L ->]]; [apply Z.lt_le_incl, IZR_le in L | apply IZR_le in L]; unfold Rmax; destruct (Rle_dec 0 (IZR c)); simpl in *; lra. }
  rewrite E, M. apply Rabs_between in near. apply Rabs_between. unfold Rmax. destruct (Rle_dec 0 u), (Rle_dec 0 (IZR c)); lra.
Qed.

(** ** All heads, side by side *)

(** The entries of one head after those of the one before. *)
Fixpoint joined (n : nat) (fs : list (nat -> R)) (i : nat) : R :=
  match fs with [] => 0 | f :: rest => if Nat.ltb i n then f i else joined n rest (i - n) end.

Lemma sum_app : forall a b f, sum (a + b) f = sum a f + sum b (fun i => f (a + i)%nat).
Proof.
  intros a b f. induction b as [|b IH]; [rewrite Nat.add_0_r; cbn [sum]; ring|]. rewrite Nat.add_succ_r. cbn [sum]. rewrite IH. ring.
Qed.

Lemma sum_joined : forall n fs gs, length fs = length gs ->
  sum (length fs * n) (fun i => joined n fs i * joined n gs i) = fold_right (fun fg rest => sum n (fun i => fst fg i * snd fg i) + rest) 0 (combine fs gs).
Proof.
  intros n. induction fs as [|f fs IH]; intros [|g gs] E; try discriminate; [reflexivity|]. cbn [length Nat.mul combine fold_right fst snd].
  rewrite sum_app, <- (IH gs) by (simpl in E; lia). f_equal; apply sum_ext; intros i I; cbn [joined].
  - now rewrite (proj2 (Nat.ltb_lt i n) I).
  - rewrite (proj2 (Nat.ltb_ge (n + i) n)) by lia. now replace (n + i - n)%nat with i by lia.
Qed.

Lemma joined_holds : forall bits n balls fs, Forall2 (fun b f => holds_vector bits b n f) balls fs ->
  holds_vector bits {| centre := flat_map centre balls; radius := largest (map radius balls) |} (length fs * n) (joined n fs).
Proof.
  intros bits n balls fs all.
  assert (G : forall top, Forall (fun b => (radius b <= top)%Z) balls -> length (flat_map centre balls) = (length fs * n)%nat /\
    forall i, (i < length fs * n)%nat -> Rabs (joined n fs i * pow2 bits - IZR (nth i (flat_map centre balls) 0%Z)) <= IZR top).
  { intros top less. induction all as [|b f balls fs (Lb & _ & near) _ IH]; [split; [reflexivity | intros i I; simpl in I; lia]|].
    inversion less as [|? ? B less']; subst. destruct (IH less') as [E each]. cbn [flat_map length Nat.mul joined]. rewrite app_length. split; [lia|].
    intros i I. destruct (Nat.ltb_spec i (length (centre b))) as [inside|beyond].
    - rewrite app_nth1 by exact inside. apply Rle_trans with (IZR (radius b)); [now apply near | now apply IZR_le].
    - rewrite app_nth2 by exact beyond. apply each. lia. }
  destruct (G (largest (map radius balls))) as [E each].
  { apply Forall_forall. intros b I. apply largest_ge. now apply in_map. }
  split; [exact E|]. split; [|exact each]. cbn [radius]. apply largest_nonneg. rewrite Forall_map. apply Forall_forall. intros b I.
  apply (In_nth _ _ (Ball [] 0)) in I. destruct I as (j & J & <-). clear - all J. revert j J.
  induction all as [|b f balls fs (_ & N & _) _ IH]; intros j J; [cbn in J; lia|]. destruct j as [|j]; [exact N | apply IH; cbn in J; lia].
Qed.

Lemma finest_le : forall l A, In A l -> (finest l <= exponent A)%Z.
Proof.
  induction l as [|B l IH]; intros A I; [destruct I|]. cbn [finest fold_right]. fold (finest l).
  destruct I as [<-|I]; [lia | specialize (IH A I); lia].
Qed.

Lemma stacked_stands : forall l n d, (forall A, In A l -> has_shape A n d) ->
  stands_for (stacked l) (length l * n) d (fun i j => joined n (map (fun A i => number A i j) l) i).
Proof.
  intros l n d shapes. unfold stacked. pose proof (finest_le l) as above. revert above. generalize (finest l) as e. intros e above.
  unfold stands_for, has_shape, number, entry. cbn [rows exponent].
  induction l as [|A l IH]; [repeat split; [constructor | intros i j I; simpl in I; lia]|].
  destruct (stands_in_units_of e A n d (number A) (above A (or_introl eq_refl)) (stands_number A n d (shapes A (or_introl eq_refl)))) as [[LA SA] FA].
  destruct IH as [[Ll Sl] Fl]; [intros; apply shapes; now right | intros; apply above; now right|].
  cbn [flat_map length Nat.mul map joined]. rewrite app_length. repeat split.
  - lia.
  - apply Forall_app. now split.
  - intros i j I J. destruct (Nat.ltb_spec i n) as [inside|beyond].
    + rewrite app_nth1 by lia. exact (FA i j inside J).
    + rewrite app_nth2 by lia. rewrite LA. apply Fl; [lia | exact J].
Qed.

(** ** What it holds *)

Section Right.
Variables (w : layer_weights) (bits : Z) (r : nat) (x : list nat).
Hypothesis shaped : well_shaped w = true.
Hypothesis natural : (0 <= bits)%Z.
Notation L := (layer_of w).
Notation v := (size_v w).
Notation d := (size_d w).
Notation n := (size_n w).
Notation m := (size_m w).
Notation seen := (visible L x r).
Notation at_ p := (nth p x 0%nat).
Notation M := (round_layer w bits).
Hypothesis r_seen : (r < seen)%nat.
Hypothesis all_exist : (seen <= length (rows (embed_pos w)))%nat.
Hypothesis tokens : forall p, (p < seen)%nat -> (at_ p < v)%nat.

Definition part_right (q p t : nat) (h : head_weights) (one : part) : Prop :=
  encloses bits (fst one) (weighs L (head_of_weights h) r q p t) /\
  holds_vector bits (snd one) n (seen_as L (head_V (head_of_weights h)) (head_b_V (head_of_weights h)) p t).

Lemma view_right : forall q p t parts, (q < v)%nat -> (p < seen)%nat -> (t < v)%nat ->
  view M (queries_at w M r q) (place_of w M p t) = Some parts -> Forall2 (part_right q p t) (attn_heads w) parts.
Proof.
  intros q p t parts Q P T E. unfold view, place_of, queries_at in E. cbn [bits_of asks answers carries round_layer scales] in E.
  destruct (too_long _); [discriminate|]. cbn [keys values] in E.
  pose proof (residual_holds w bits r seen shaped r_seen all_exist p t P T) as at_p.
  pose proof (residual_holds w bits r seen shaped r_seen all_exist r q r_seen Q) as at_r.
  destruct (maps_right w bits attn_Q attn_bias_Q) as (Qs & E1 & rQ). destruct (maps_right w bits attn_K attn_bias_K) as (Ks & E2 & rK).
  destruct (maps_right w bits attn_V attn_bias_V) as (Vs & E3 & rV). rewrite E1, E2, E3 in E. clear E1 E2 E3.
  pose proof (head_shapes w shaped) as shapes. revert parts E. revert Qs Ks Vs rQ rK rV shapes. generalize (attn_heads w) as all.
  induction all as [|h all IH]; intros Qs Ks Vs rQ rK rV shapes parts E; inversion rQ as [|? lQ ? Qs' oQ]; inversion rK as [|? lK ? Ks' oK];
    inversion rV as [|? lV ? Vs' oV]; subst; cbn [map parts_of] in E; [inversion E; constructor|].
  destruct (power_of _ _ _) as [a|] eqn:A; [|discriminate]. destruct (parts_of _ _ _ _) as [more|] eqn:rest; [|discriminate]. inversion E; subst.
  destruct (shapes h (or_introl eq_refl)) as (SQ & SK & SV & SO & Sq & Sk & Sv). constructor.
  - split; cbn [fst snd].
    + apply (power_of_encloses w bits r seen shaped natural r_seen all_exist h q p t _ _ a) with (3 := A).
      * now apply read_holds with (r := r) (seen := seen) (W := attn_Q) (b := attn_bias_Q).
      * now apply read_holds with (r := r) (seen := seen) (W := attn_K) (b := attn_bias_K).
    + now apply read_holds with (r := r) (seen := seen) (W := attn_V) (b := attn_bias_V).
  - apply (IH Qs' Ks' Vs'); try assumption. intros; apply shapes; now right.
Qed.

Definition mixed_by (h : head_weights) (a : nat) : R := head_mixed L x (head_of_weights h) r a.

Lemma mixed_mean : forall h a, mixed_by h a
  = sum seen (fun p => weighs L (head_of_weights h) r (at_ r) p (at_ p) * seen_as L (head_V (head_of_weights h)) (head_b_V (head_of_weights h)) p (at_ p) a)
    / sum seen (fun p => weighs L (head_of_weights h) r (at_ r) p (at_ p)).
Proof.
  intros h a. unfold mixed_by, head_mixed, Rdiv. rewrite <- sum_scale_r. apply sum_ext. intros p _.
  rewrite attention_weighs. unfold denominator, read_by, seen_as, entering, embedded, Rdiv. ring.
Qed.

Lemma means_right : forall hs parts means, length parts = seen ->
  (forall p, (p < seen)%nat -> Forall2 (part_right (at_ r) p (at_ p)) hs (nth p parts [])) ->
  means_of_heads n (length hs) parts = Some means -> Forall2 (fun b f => holds_vector bits b n f) means (map mixed_by hs).
Proof.
  induction hs as [|h hs IH]; intros parts means Len each E; cbn [length means_of_heads map] in *; [inversion E; constructor|].
  destruct (mean_ball n _) as [mean|] eqn:A; [|discriminate]. destruct (means_of_heads n _ _) as [more|] eqn:rest; [|discriminate]. inversion E; subst.
  assert (firsts : forall p, (p < seen)%nat -> nth p (map (hd no_part) parts) no_part = hd no_part (nth p parts [])).
  { intros p P. apply nth_map. lia. }
  constructor.
  - pose proof (mean_ball_holds bits n (map (hd no_part) parts) (fun p => weighs L (head_of_weights h) r (at_ r) p (at_ p))
      (fun p => seen_as L (head_V (head_of_weights h)) (head_b_V (head_of_weights h)) p (at_ p)) mean) as G.
    rewrite map_length, Len in G. specialize (G ltac:(lia)). destruct G as (G1 & G2 & G3).
    + intros p P. rewrite firsts by exact P. specialize (each p P). inversion each as [|? one ? ? right]; subst. exact right.
    + exact A.
    + split; [exact G1|]. split; [exact G2|]. intros a I. rewrite mixed_mean. now apply G3.
  - apply IH with (parts := map (@tl part) parts); [now rewrite map_length | | exact rest].
    intros p P. rewrite (nth_map _ _ (@tl part) _ p []) by lia. specialize (each p P). inversion each; subst. assumption.
Qed.

Lemma all_some_at : forall (A : Type) (l : list (option A)) a, all_some l = Some a -> l = map Some a.
Proof.
  intros A. induction l as [|[o|] l IH]; intros a E; cbn [all_some] in E; try discriminate; [now inversion E|].
  destruct (all_some l) as [more|]; [|discriminate]. inversion E; subst. cbn [map]. now rewrite (IH more).
Qed.

Lemma past_neurons_right : forall before leaves, holds_vector bits before d (after_heads L x r) -> past_neurons M before = Some leaves ->
  holds_vector bits leaves d (leaving L x r).
Proof.
  intros before leaves inside E. unfold past_neurons in E. cbn [to_and_from_neurons bits_of round_layer] in E. unfold leaving. cbn [mlp layer_of].
  destruct (layer_sizes w shaped) as (_ & d_some & _).
  destruct (mlp_of_layer w) as [one|] eqn:one_; cbn [option_map] in *; [|inversion E; subst; exact inside].
  destruct (mlp_shapes w shaped one one_) as (k_some & S_in & S_bin & S_out & S_bout).
  destruct (too_long before); [discriminate|]. destruct (too_long _); [discriminate|]. inversion E; subst leaves. clear E.
  assert (into : holds_vector bits (relu_ball (image bits (linear_of bits (mlp_in one) (mlp_bias_in one)) before)) (size_k w) (active L x (neurons_of_weights one) r)).
  { unfold active. apply relu_holds. apply (image_holds bits (mlp_in one) (mlp_bias_in one) d (size_k w)); try assumption; [now apply stands_number | | apply linear_of_right].
    eapply stands_ext; [apply stands_number; exact S_bin|]. intros i j I J. now replace i with 0%nat by lia. }
  assert (out : holds_vector bits (image bits (linear_of bits (mlp_out one) (mlp_bias_out one)) (relu_ball (image bits (linear_of bits (mlp_in one) (mlp_bias_in one)) before))) d
    (fun i => sum (size_k w) (fun j => active L x (neurons_of_weights one) r j * number (mlp_out one) j i) + number (mlp_bias_out one) 0 i)).
  { apply (image_holds bits (mlp_out one) (mlp_bias_out one) (size_k w) d); try assumption; [now apply stands_number | | apply linear_of_right].
    eapply stands_ext; [apply stands_number; exact S_bout|]. intros i j I J. now replace i with 0%nat by lia. }
  apply holds_ext with (1 := plus_holds _ _ _ _ _ _ out inside). intros i I. unfold size_k. rewrite one_. cbn [how_many W_out b_out neurons_of_weights]. ring.
Qed.

(** Of any residual and views that are right; how they are made is said by whoever calls. *)
Theorem logits_right : forall views b, length views = seen ->
  (forall p, (p < seen)%nat -> nth p views None = view M (queries_at w M r (at_ r)) (place_of w M p (at_ p))) ->
  logits_of M (residual_ball w bits r (at_ r)) views = Some b -> holds_vector bits b m (logit_at L x r).
Proof.
  intros views b Len each E. unfold logits_of in E. destruct (all_some views) as [parts|] eqn:S; [|discriminate].
  apply all_some_at in S. subst views. rewrite map_length in Len. cbn [width asks mixes reads_out bits_of round_layer] in E.
  destruct (layer_sizes w shaped) as (v_some & d_some & n_some & m_some & _). destruct (layer_shapes w shaped) as (_ & _ & SB & SU & Sb & _).
  assert (LQ : length (maps_of w bits attn_Q attn_bias_Q) = length (attn_heads w)).
  { unfold maps_of, side_by_side. now rewrite !map_length. }
  rewrite LQ in E. destruct (means_of_heads n _ parts) as [means|] eqn:A; [|discriminate].
  apply means_right in A; [|exact Len|].
  2:{ intros p P. apply view_right; [now apply tokens | exact P | now apply tokens|]. rewrite <- each by exact P.
      rewrite (nth_map _ _ _ _ p []) by lia. reflexivity. }
  apply joined_holds in A. rewrite map_length in A. cbv zeta in E. destruct (too_long _); [discriminate|].
  set (mixed := {| centre := flat_map centre means; radius := _ |}) in *.
  assert (ST : stands_for (stacked (map attn_O (attn_heads w))) (length (attn_heads w) * n) d
    (fun i j => joined n (map (fun A i => number A i j) (map attn_O (attn_heads w))) i)).
  { rewrite <- (map_length attn_O). apply stacked_stands. intros B I. apply in_map_iff in I. destruct I as (h & <- & I). now apply (head_shapes w shaped). }
  assert (added : holds_vector bits (image bits (linear_of bits (stacked (map attn_O (attn_heads w))) (attn_bias_O w)) mixed) d
    (fun j => sum_of_heads L (fun H => sum n (fun a => head_mixed L x H r a * head_O H a j)) + b_attention L j)).
  { pose proof (image_holds bits _ _ (length (attn_heads w) * n) d _ _ _ mixed _ natural d_some ST
      (stands_ext _ _ _ _ (fun _ j => number (attn_bias_O w) 0 j) (stands_number _ _ _ SB) ltac:(intros i j I J; now replace i with 0%nat by lia)) (linear_of_right _ _ _) A) as (G1 & G2 & G3).
    split; [exact G1|]. split; [exact G2|]. intros j J. specialize (G3 j J). cbv beta in G3.
    replace (sum_of_heads L (fun H => sum n (fun a => head_mixed L x H r a * head_O H a j)))
      with (sum (length (attn_heads w) * n) (fun i => joined n (map mixed_by (attn_heads w)) i * joined n (map (fun A i => number A i j) (map attn_O (attn_heads w))) i)); [exact G3|].
    rewrite <- (map_length mixed_by (attn_heads w)). rewrite sum_joined by now rewrite !map_length. unfold sum_of_heads. cbn [heads layer_of].
    clear. induction (attn_heads w) as [|h all IH]; [reflexivity|]. cbn [map combine fold_right fst snd]. now rewrite IH. }
  assert (after : holds_vector bits (plus_ball (image bits (linear_of bits (stacked (map attn_O (attn_heads w))) (attn_bias_O w)) mixed) (residual_ball w bits r (at_ r))) d (after_heads L x r)).
  { pose proof (residual_holds w bits r seen shaped r_seen all_exist r (at_ r) r_seen (tokens r r_seen)) as here.
    apply holds_ext with (1 := plus_holds _ _ _ _ _ _ added here). intros i I. unfold after_heads, entering, embedded. change (General.head_size L) with n. ring. }
  set (between_ := plus_ball _ _) in *. destruct (past_neurons M between_) as [leaves|] eqn:N; [|discriminate].
  assert (leaves_right : holds_vector bits leaves d (leaving L x r)) by now apply (past_neurons_right between_).
  destruct (too_long leaves); [discriminate|]. inversion E; subst b. clear E.
  apply (image_holds bits (unembed_U w) (unembed_bias w) d m); try assumption.
  - now apply stands_number.
  - eapply stands_ext; [apply stands_number; exact Sb|]. intros i j I J. now replace i with 0%nat by lia.
  - apply linear_of_right.
Qed.
End Right.
