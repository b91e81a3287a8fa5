(** rules.md, "Features" and "Worst means": tables of gains and of attention weights in a region, one number for each
    position that is seen and each token. *)

From Coq Require Import Reals ZArith List Lra Lia Arith Bool.
From Compact Require Import Spec.Model Spec.General Integer.Dyadic Integer.Matrix Integer.Tables Real.ScaledExp Real.Sums.
From Compact Require Import General.Heads General.Balls General.Tables General.Means General.Relu.
Import ListNotations.
Open Scope R_scope.

(** ** Lists of lists *)

Fixpoint zip_with {A B C : Type} (f : A -> B -> C) (a : list A) (b : list B) : list C :=
  match a, b with x :: a', y :: b' => f x y :: zip_with f a' b' | _, _ => [] end.

Lemma zip_with_nth : forall (A B C : Type) (f : A -> B -> C) a b i x y z, (i < length a)%nat -> (i < length b)%nat ->
  nth i (zip_with f a b) z = f (nth i a x) (nth i b y).
Proof.
  intros A B C f. induction a as [|u a IH]; intros [|v b] i x y z I J; cbn in *; try lia.
  destruct i as [|i]; [reflexivity | apply IH; lia].
Qed.

Lemma zip_with_length : forall (A B C : Type) (f : A -> B -> C) a b n, length a = n -> length b = n -> length (zip_with f a b) = n.
Proof.
  intros A B C f. induction a as [|u a IH]; intros [|v b] n I J; cbn in *; try lia. destruct n; [lia|]. f_equal. apply IH; lia.
Qed.

Definition rectangle {A : Type} (r c : nat) (T : list (list A)) : Prop := length T = r /\ forall p, (p < r)%nat -> length (nth p T []) = c.

Section Rectangles.
Context {A B C : Type} (f : A -> B -> C) (r c : nat).

Lemma zip2_rectangle : forall a b, rectangle r c a -> rectangle r c b -> rectangle r c (zip_with (zip_with f) a b).
Proof.
  intros a b [La Ra] [Lb Rb]. split; [now apply zip_with_length|]. intros p P.
  rewrite (zip_with_nth _ _ _ _ a b p [] []) by lia. apply zip_with_length; auto.
Qed.

Lemma zip2_at : forall a b p t x y z, rectangle r c a -> rectangle r c b -> (p < r)%nat -> (t < c)%nat ->
  at2 z (zip_with (zip_with f) a b) p t = f (at2 x a p t) (at2 y b p t).
Proof.
  intros a b p t x y z [La Ra] [Lb Rb] P I. unfold at2. rewrite (zip_with_nth _ _ _ _ a b p [] []) by lia.
  apply zip_with_nth; [rewrite Ra | rewrite Rb]; assumption.
Qed.

Lemma map2_rectangle : forall (g : A -> B) a, rectangle r c a -> rectangle r c (map (map g) a).
Proof.
  intros g a [La Ra]. split; [now rewrite map_length|]. intros p P. rewrite (nth_map _ _ _ _ p [] []) by lia. rewrite map_length. auto.
Qed.

Lemma map2_at : forall (g : A -> B) a p t x y, rectangle r c a -> (p < r)%nat -> (t < c)%nat -> at2 y (map (map g) a) p t = g (at2 x a p t).
Proof. intros g a p t x y [La Ra] P I. apply at2_map; [lia | now rewrite Ra]. Qed.
End Rectangles.

(** ** Gains of a class of wrong outputs on the label *)

Definition outputs_in (m : nat) (mask : Z) : list nat := filter (fun y => Z.testbit mask (Z.of_nat y)) (seq 0 m).

(** What each neuron adds to each output, and how much more to [y] than to [c]. *)
Definition neuron_table (w : layer_weights) : matrix :=
  match mlp_of_layer w with Some n => mul (mlp_out n) (unembed_U w) | None => Matrix [] 0 end.
Definition favours (out : matrix) (c y : nat) : list Z := map (fun row => nth y row 0 - nth c row 0)%Z (rows out).

(** Output [y] less [c], and the features of neurons times factors, in units of [2 ^ (unit - bits)]. *)
Definition difference (bits unit : Z) (m c y : nat) (factors : list Z) (b : ball) : Z :=
  let ahead := (nth y (centre b) 0 - nth c (centre b) 0 + 2 * radius b)%Z in
  match factors with
  | [] => ahead
  | _ => (ahead + shift_up (dot factors (skipn m (centre b)) + radius b * fold_right Z.add 0 (map Z.abs factors)) (bits - unit))%Z
  end.

(** Each output of a class, and how the neurons that favour it count with lines of these slopes in their place. *)
Definition lines_of (out : matrix) (c : nat) (ys : list nat) (slopes : list Z) : list (nat * list Z) :=
  map (fun y => (y, zip Z.mul (favours out c y) slopes)) ys.

Definition gain_of (bits unit : Z) (m c : nat) (lines : list (nat * list Z)) (b : ball) : Z :=
  largest (map (fun one => difference bits unit m c (fst one) (snd one) b) lines).
Definition gains_of (bits unit : Z) (m c : nat) (lines : list (nat * list Z)) (one : one_head_tables) : list (list Z) :=
  map (map (gain_of bits unit m c lines)) (adding one).

(** Intercepts of the lines, by the ends of what enters each neuron. *)
Fixpoint intercepts (bits unit : Z) (favour slopes ranges : list Z) : Z :=
  match favour, slopes, ranges with
  | f :: favour', a :: slopes', low :: high :: ranges' =>
      (shift_up (f * intercept bits low high a (0 <=? f)) (- unit) + intercepts bits unit favour' slopes' ranges')%Z
  | _, _, _ => 0%Z
  end.

(** The direct path, the biases, the margin and the intercepts. *)
Definition constant_of (w : layer_weights) (bits : Z) (margin : fraction) (out : matrix) (c : nat) (ys : list nat) (slopes ranges : list Z) (b : ball) : Z :=
  let bias y := entry (unembed_bias w) 0 y in
  let most := margin_up margin (- bits) in
  largest (map (fun y => let favour := favours out c y in
    difference bits (exponent out) (size_m w) c y (zip Z.mul favour slopes) b
    + (shift_up (bias y - bias c) (- bits - exponent (unembed_bias w)) + most) + intercepts bits (exponent out) favour slopes ranges)%Z ys).

Lemma in_outputs_in : forall m mask y, In y (outputs_in m mask) <-> (y < m)%nat /\ Z.testbit mask (Z.of_nat y) = true.
Proof. intros m mask y. unfold outputs_in. rewrite filter_In, in_seq. intuition lia. Qed.

(** *** Soundness *)

Lemma intercepts_sum : forall bits unit n favour slopes ranges, length favour = n -> length slopes = n -> length ranges = (2 * n)%nat ->
  sum n (fun j => IZR (nth j favour 0%Z) * pow2 unit * (IZR (intercept bits (nth (2 * j) ranges 0%Z) (nth (2 * j + 1) ranges 0%Z)
    (nth j slopes 0%Z) (0 <=? nth j favour 0)%Z) * pow2 (- bits))) * pow2 bits <= IZR (intercepts bits unit favour slopes ranges).
Proof.
  intros bits unit. induction n as [|n IH]; intros favour slopes ranges Lf Ls Lr.
  - destruct favour; [|discriminate]. cbn. lra.
  - destruct favour as [|f favour]; [discriminate|]. destruct slopes as [|a slopes]; [discriminate|].
    destruct ranges as [|lo [|hi ranges]]; try (cbn in Lr; lia). rewrite sum_first. cbn [intercepts]. rewrite plus_IZR, Rmult_plus_distr_r. apply Rplus_le_compat.
    + apply Rle_trans with (2 := shift_up_ge _ _).
      change (IZR f * pow2 unit * (IZR (intercept bits lo hi a (0 <=? f)%Z) * pow2 (- bits)) * pow2 bits <= IZR (f * intercept bits lo hi a (0 <=? f)%Z) * pow2 (- - unit)).
      rewrite Z.opp_involutive, mult_IZR. pose proof (pow2_opp bits) as inv. right. generalize (IZR (intercept bits lo hi a (0 <=? f)%Z)). intros b.
      replace (IZR f * pow2 unit * (b * pow2 (- bits)) * pow2 bits) with (IZR f * pow2 unit * b * (pow2 bits * pow2 (- bits))) by ring. rewrite inv. ring.
    + specialize (IH favour slopes ranges ltac:(cbn in Lf; lia) ltac:(cbn in Ls; lia) ltac:(cbn in Lr; lia)). apply Rle_trans with (2 := IH). right. f_equal.
      apply sum_ext. intros j J. cbn [nth]. replace (2 * S j)%nat with (S (S (2 * j))) by lia. replace (S (S (2 * j)) + 1)%nat with (S (S (2 * j + 1))) by lia. reflexivity.
Qed.

Section Classes.
Variables (w : layer_weights) (bits : Z).
Hypothesis shaped : well_shaped w = true.
Notation L := (layer_of w).
Notation m := (size_m w).
Notation k := (size_k w).
Notation out := (neuron_table w).
Notation unit := (exponent out).

Lemma neuron_count_k : neuron_count L = k.
Proof. unfold neuron_count, size_k. cbn [mlp layer_of]. destruct (mlp_of_layer w); reflexivity. Qed.

Lemma neuron_table_stands : stands_for out k m (neuron_adds L).
Proof.
  pose proof (layer_shapes w shaped) as (_ & _ & _ & SU & _). pose proof (layer_sizes w shaped) as (_ & d_some & _).
  unfold neuron_table, size_k, neuron_adds. cbn [mlp layer_of]. destruct (mlp_of_layer w) as [one|] eqn:E; cbn [option_map].
  - destruct (mlp_shapes w shaped one E) as (_ & _ & _ & S_out & _). unfold size_k in S_out. rewrite E in S_out.
    eapply stands_ext; [apply stands_mul with (n := size_d w); [exact d_some | apply stands_number; exact S_out | apply stands_number; exact SU]|].
    intros i j I J. reflexivity.
  - split; [split; [reflexivity | constructor]|]. intros i j I. lia.
Qed.

Variables (c y : nat).
Hypothesis c_small : (c < m)%nat.
Hypothesis y_small : (y < m)%nat.

Lemma favours_length : length (favours out c y) = k.
Proof. unfold favours. rewrite map_length. apply neuron_table_stands. Qed.

Lemma favour_is : forall j, (j < k)%nat -> neuron_adds L j y - neuron_adds L j c = IZR (nth j (favours out c y) 0%Z) * pow2 unit.
Proof.
  intros j J. destruct neuron_table_stands as [S F]. rewrite !F by assumption. unfold number, entry, favours.
  rewrite (nth_map _ _ _ _ j [] 0%Z) by (destruct S as [-> _]; exact J). rewrite minus_IZR. ring.
Qed.

Variable slopes : list Z.
Hypothesis slopes_length : length slopes = k.
Notation slope j := (IZR (nth j slopes 0%Z) * pow2 (- bits)).

Lemma factors_length : length (zip Z.mul (favours out c y) slopes) = k.
Proof. apply zip_length; [apply favours_length | exact slopes_length]. Qed.

Lemma difference_ge : forall b f, holds_vector bits b (m + k) f ->
  bent L (fun j => slope j) y c f * pow2 bits <= IZR (difference bits unit m c y (zip Z.mul (favours out c y) slopes) b).
Proof.
  intros b f (Lb & Rb & near). unfold bent. rewrite neuron_count_k. change (outputs L) with m.
  pose proof (near c ltac:(lia)) as Nc. pose proof (near y ltac:(lia)) as Ny. apply Rabs_between in Nc. apply Rabs_between in Ny.
  set (factors := zip Z.mul (favours out c y) slopes). pose proof factors_length as Lf. fold factors in Lf.
  assert (A : (f y - f c) * pow2 bits <= IZR (nth y (centre b) 0 - nth c (centre b) 0 + 2 * radius b)%Z) by (rewrite plus_IZR, minus_IZR, mult_IZR; lra).
  rewrite Rmult_plus_distr_r. unfold difference. fold factors.
  assert (B : sum k (fun j => (neuron_adds L j y - neuron_adds L j c) * slope j * f (m + j)%nat) * pow2 bits
    <= IZR (shift_up (dot factors (skipn m (centre b)) + radius b * fold_right Z.add 0 (map Z.abs factors)) (bits - unit))%Z).
  { apply Rle_trans with (2 := shift_up_ge _ _). rewrite plus_IZR, mult_IZR.
    rewrite (dot_sum k) by (exact Lf || (rewrite skipn_length; lia)). rewrite (fold_abs_sum k) by exact Lf.
    replace (- (bits - unit))%Z with (unit + - bits)%Z by lia. rewrite <- sum_scale_r, <- sum_scale, <- sum_plus, <- sum_scale_r. apply sum_le. intros j J.
    specialize (near (m + j)%nat ltac:(lia)). rewrite favour_is by exact J.
    assert (Ef : IZR (nth j factors 0%Z) = IZR (nth j (favours out c y) 0%Z) * IZR (nth j slopes 0%Z)).
    { unfold factors. rewrite zip_nth by (rewrite ?favours_length; lia). now rewrite mult_IZR. }
    assert (En : nth j (skipn m (centre b)) 0%Z = nth (m + j) (centre b) 0%Z).
    { rewrite <- (firstn_skipn m (centre b)) at 2. rewrite app_nth2 by (rewrite firstn_length; lia). f_equal. rewrite firstn_length. lia. }
    rewrite En, pow2_add. set (X := f (m + j)%nat * pow2 bits) in *. set (C := IZR (nth (m + j) (centre b) 0%Z)) in *.
    set (F := IZR (nth j factors 0%Z)) in *.
    replace (IZR (nth j (favours out c y) 0%Z) * pow2 unit * (IZR (nth j slopes 0%Z) * pow2 (- bits)) * f (m + j)%nat * pow2 bits)
      with (F * X * (pow2 unit * pow2 (- bits))) by (unfold X; rewrite Ef; ring).
    apply Rmult_le_compat_r; [apply Rmult_le_pos; apply Rlt_le, pow2_pos|]. clearbody X C F.
    assert (F * (X - C) <= IZR (radius b) * Rabs F).
    { apply Rle_trans with (1 := Rle_abs _). rewrite Rabs_mult, Rmult_comm. apply Rmult_le_compat_r; [apply Rabs_pos | exact near]. }
    lra. }
  destruct factors as [|first rest] eqn:Ef.
  - assert (k0 : k = 0%nat) by (rewrite <- Lf; reflexivity). rewrite k0. cbn [sum]. rewrite Rmult_0_l, Rplus_0_r. exact A.
  - rewrite plus_IZR. apply Rplus_le_compat; [exact A | exact B].
Qed.

Lemma gain_ge : forall b f ys, holds_vector bits b (m + k) f -> In y ys ->
  bent L (fun j => slope j) y c f * pow2 bits <= IZR (gain_of bits unit m c (lines_of out c ys slopes) b).
Proof.
  intros b f ys H I. apply Rle_trans with (1 := difference_ge b f H). apply IZR_le. unfold gain_of. apply largest_ge.
  apply in_map_iff. exists (y, zip Z.mul (favours out c y) slopes). split; [reflexivity|]. unfold lines_of.
  exact (in_map (fun y => (y, zip Z.mul (favours out c y) slopes)) ys y I).
Qed.

(** Ends of what enters each neuron, in units. *)
Variable ranges : list Z.
Hypothesis ranges_length : length ranges = (2 * k)%nat.
Notation its_intercept j := (IZR (intercept bits (nth (2 * j) ranges 0%Z) (nth (2 * j + 1) ranges 0%Z) (nth j slopes 0%Z) (Z.leb 0 (nth j (favours out c y) 0%Z))) * pow2 (- bits)).

Lemma intercepts_ge : sum k (fun j => (neuron_adds L j y - neuron_adds L j c) * its_intercept j) * pow2 bits
  <= IZR (intercepts bits unit (favours out c y) slopes ranges).
Proof.
  rewrite (sum_ext k _ (fun j => IZR (nth j (favours out c y) 0%Z) * pow2 unit * its_intercept j)) by (intros j J; now rewrite favour_is).
  apply intercepts_sum; [apply favours_length | exact slopes_length | exact ranges_length].
Qed.

Lemma constant_ge : forall margin ys b f, (0 < snd margin)%Z -> holds_vector bits b (m + k) f -> In y ys ->
  (bent L (fun j => slope j) y c f + (b_unembed L y - b_unembed L c + value_of margin) + sum k (fun j => (neuron_adds L j y - neuron_adds L j c) * its_intercept j)) * pow2 bits
  <= IZR (constant_of w bits margin out c ys slopes ranges b).
Proof.
  intros margin ys b f positive H I.
  apply Rle_trans with (IZR (difference bits unit m c y (zip Z.mul (favours out c y) slopes) b
    + (shift_up (entry (unembed_bias w) 0 y - entry (unembed_bias w) 0 c) (- bits - exponent (unembed_bias w)) + margin_up margin (- bits))
    + intercepts bits unit (favours out c y) slopes ranges)%Z).
  2:{ apply IZR_le. unfold constant_of. apply largest_ge. refine (in_map _ ys y I). }
  pose proof (difference_ge b f H) as D. pose proof (margin_up_bounds margin (- bits) positive) as [_ M]. pose proof intercepts_ge as N.
  pose proof (shift_up_ge (entry (unembed_bias w) 0 y - entry (unembed_bias w) 0 c) (- bits - exponent (unembed_bias w))) as B.
  pose proof (pow2_pos bits) as P. pose proof (pow2_opp bits) as inv. rewrite !plus_IZR.
  assert (EB : (b_unembed L y - b_unembed L c) * pow2 bits
    = IZR (entry (unembed_bias w) 0 y - entry (unembed_bias w) 0 c) * pow2 (- (- bits - exponent (unembed_bias w)))).
  { cbn [b_unembed layer_of]. unfold number. replace (- (- bits - exponent (unembed_bias w)))%Z with (exponent (unembed_bias w) + bits)%Z by lia.
    rewrite pow2_add, minus_IZR. ring. }
  assert (EM : value_of margin * pow2 bits <= IZR (margin_up margin (- bits))).
  { apply Rle_trans with (IZR (margin_up margin (- bits)) * pow2 (- bits) * pow2 bits); [apply Rmult_le_compat_r; lra|].
    rewrite Rmult_assoc, (Rmult_comm (pow2 (- bits))), inv. lra. }
  rewrite !Rmult_plus_distr_r, EB. lra.
Qed.

(** The lines are on the right side, if what enters a neuron is in its range. *)
Lemma lines_right : forall j z, (j < k)%nat -> IZR (nth (2 * j) ranges 0%Z) <= z * pow2 bits <= IZR (nth (2 * j + 1) ranges 0%Z) ->
  (neuron_adds L j y - neuron_adds L j c) * Rmax 0 z <= (neuron_adds L j y - neuron_adds L j c) * (slope j * z + its_intercept j).
Proof.
  intros j z J inside. rewrite favour_is by exact J. set (f := nth j (favours out c y) 0%Z).
  pose proof (line_times bits (nth j slopes 0%Z) _ _ _ inside (IZR f * pow2 unit) (0 <=? f)%Z) as T.
  assert (P : 0 < pow2 bits) by apply pow2_pos. pose proof (pow2_pos unit) as U. pose proof (pow2_opp bits) as inv.
  specialize (T ltac:(intros E; apply Z.leb_le, (IZR_le 0) in E; nra) ltac:(intros E; apply Z.leb_gt, IZR_lt in E; nra)).
  set (e := IZR f * pow2 unit) in *. set (I := IZR (intercept _ _ _ _ _)) in *.
  assert (ER : Rmax 0 (z * pow2 bits) = Rmax 0 z * pow2 bits).
  { unfold Rmax. destruct (Rle_dec 0 (z * pow2 bits)), (Rle_dec 0 z); try ring; nra. }
  rewrite ER in T. apply Rmult_le_reg_r with (pow2 bits); [exact P|]. rewrite Rmult_assoc. apply Rle_trans with (1 := T). right.
  rewrite (Rmult_assoc e (_ + _)). f_equal. rewrite Rmult_plus_distr_r. f_equal; [ring|].
  rewrite Rmult_assoc, (Rmult_comm (pow2 (- bits))), inv. ring.
Qed.
End Classes.

(** ** Attention weights in one unit *)

(** [flags] says which tokens are read at a position; all powers of these are known. *)
Definition all_known (flags : list (list bool)) (powers : list (list (option power))) : bool :=
  forallb (forallb (fun b => b)) (zip_with (zip_with (fun (f : bool) (a : option power) => match a with None => negb f | Some _ => true end)) flags powers).

Definition shifts_read (flags : list (list bool)) (powers : list (list (option power))) : list Z :=
  concat (concat (zip_with (zip_with (fun (f : bool) (a : option power) => match a with Some a => if f then [shift a] else [] | None => [] end)) flags powers)).

Definition least_of (l : list Z) : Z := match l with [] => 0%Z | x :: rest => fold_left Z.min rest x end.

Definition ends_read (flags : list (list bool)) (powers : list (list (option power))) : list (list (Z * Z)) :=
  let least := least_of (shifts_read flags powers) in
  zip_with (zip_with (fun (f : bool) (a : option power) => match a with
    | Some a => if f then (shift_down (low a) (shift a - least), shift_up (high a) (shift a - least)) else (0, 0)%Z
    | None => (0, 0)%Z end)) flags powers.

Definition read_at (flags : list (list bool)) (p t : nat) : bool := at2 false flags p t.

Lemma ends_right : forall bits r c flags powers, rectangle r c flags -> rectangle r c powers -> all_known flags powers = true ->
  rectangle r c (ends_read flags powers) /\
  exists unit, 0 < unit /\ forall p t x, (p < r)%nat -> (t < c)%nat -> read_at flags p t = true ->
    (forall a, at2 None powers p t = Some a -> encloses bits a x) -> between unit (at2 (0, 0)%Z (ends_read flags powers) p t) x.
Proof.
  intros bits r c flags powers SF SP known. split; [unfold ends_read; now apply zip2_rectangle|].
  unfold ends_read. set (least := least_of _). exists (pow2 (bits + least)). split; [apply pow2_pos|].
  intros p t x P I flagged encloses_. rewrite (zip2_at _ r c flags powers p t false None) by assumption.
  unfold read_at in flagged. rewrite flagged.
  destruct (at2 None powers p t) as [a|] eqn:E.
  - destruct (encloses_ a eq_refl) as [natural [lo hi]].
    assert (units : forall n, IZR n * pow2 (- (bits + shift a)) * pow2 (bits + least) = IZR n * pow2 (- (shift a - least))).
    { intros. rewrite Rmult_assoc, <- pow2_add. repeat f_equal. lia. }
    pose proof (pow2_pos (bits + least)). split; cbn [fst snd]; [now apply shift_down_nonneg|]. split.
    + apply Rle_trans with (1 := shift_down_le _ _). rewrite <- units. apply Rmult_le_compat_r; lra.
    + apply Rle_trans with (2 := shift_up_ge _ _). rewrite <- units. apply Rmult_le_compat_r; lra.
  - exfalso. unfold all_known in known. rewrite forallb_forall in known.
    set (K := zip_with _ flags powers) in known.
    assert (SK : rectangle r c K) by (now apply zip2_rectangle).
    assert (N : at2 true K p t = false) by (unfold K; rewrite (zip2_at _ r c flags powers p t false None) by assumption; now rewrite E, flagged).
    destruct SK as [LK RK]. specialize (known (nth p K []) ltac:(apply nth_In; lia)). rewrite forallb_forall in known.
    specialize (known (at2 true K p t) ltac:(unfold at2; apply nth_In; rewrite RK; assumption)). congruence.
Qed.

(** ** Worst terms *)

Definition worst_terms (less : Z) (gains : list (list Z)) (ends : list (list (Z * Z))) : list (list Z) := zip_with (zip_with (worst less)) gains ends.

(** What is not seen adds nothing. *)
Definition as_table (T : list (list Z)) (p t : nat) : Z := at2 0%Z T p t.

Lemma as_table_beyond : forall r c T p t, rectangle r c T -> (r <= p)%nat -> as_table T p t = 0%Z.
Proof. intros r c T p t [L _] P. unfold as_table, at2. rewrite (nth_overflow T) by lia. now destruct t. Qed.

Lemma sum_of_table : forall r c T k x, rectangle r c T -> (r <= k)%nat ->
  sum k (fun p => IZR (as_table T p (nth p x 0%nat))) = sum r (fun p => IZR (as_table T p (nth p x 0%nat))).
Proof.
  intros r c T k x shape P. induction k as [|k IH]; [now replace r with 0%nat by lia|].
  destruct (Nat.eq_dec r (S k)) as [->|]; [reflexivity|]. cbn [sum]. rewrite IH by lia.
  rewrite (as_table_beyond r c) by (assumption || lia). simpl (IZR 0). ring.
Qed.
