(** rules.md, attention_ranges: how much attention the maximum gets when all other tokens are at least a gap below it. *)

From Coq Require Import Reals ZArith List Lra Lia Arith Bool.
From Compact Require Import Spec.Model Real.Sums Real.Separation Integer.Dyadic Integer.Matrix Integer.Tables Real.Exp Real.ScaledExp.
From Compact Require Import Integer.Numerators Integer.QueryWeights Integer.WorstTables Count.Counting Facts Real.Share Rules.cubic_tokens.
Import ListNotations.
Open Scope Z_scope.

(** ** Exponentials of either sign, as quotients *)

(** What is above and what is below, in one unit. *)
Definition ratio := ((Z * Z) * (Z * Z))%type.

Definition exponential_ratio (head : Z) (known : memo) (bits exponent d : Z) : ratio :=
  let power := exp_below head known bits exponent (Z.abs d) in
  match aligned [{| low := Z.shiftl 1 bits; high := Z.shiftl 1 bits; shift := 0 |}; power] with
  | [one; small] => if 0 <=? d then (one, small) else (small, one)
  | _ => ((0, 0), (0, 0))
  end.

Definition right_ratio (one : ratio) (y : R) : Prop :=
  exists unit above below, (0 < unit)%R /\ (0 < above)%R /\ (0 < below)%R /\
    between unit (fst one) above /\ between unit (snd one) below /\ (above = below * y)%R.

Lemma exponential_ratio_right : forall head known bits exponent d, right_memo head known -> 0 < head -> 0 <= bits ->
  right_ratio (exponential_ratio head known bits exponent d) (exp (IZR d * pow2 exponent / sqrt (IZR head))).
Proof.
  intros head known bits exponent d right H B. unfold exponential_ratio.
  pose proof (exp_below_encloses head known bits exponent (Z.abs d) right H B ltac:(lia)) as E.
  set (power := exp_below _ _ _ _ _) in *. set (x := exp (- _)) in *.
  assert (one : encloses bits {| low := Z.shiftl 1 bits; high := Z.shiftl 1 bits; shift := 0 |} 1).
  { unfold encloses. cbn [low high shift]. rewrite shiftl_real by exact B. rewrite Rmult_1_l, <- pow2_add.
    replace (bits + - (bits + 0))%Z with 0%Z by lia. split; [apply Z.shiftl_nonneg; lia|]. simpl. lra. }
  destruct (aligned_between bits [_; power] [1%R; x] (Forall2_cons _ _ one (Forall2_cons _ _ E (Forall2_nil _)))) as (unit & positive & all).
  destruct (aligned _) as [|a [|b [|]]]; [inversion all | inversion all as [|? ? ? ? _ R]; inversion R | |
    inversion all as [|? ? ? ? _ R]; inversion R as [|? ? ? ? _ R']; inversion R'].
  inversion all as [|? ? ? ? A R]; subst. inversion R as [|? ? ? ? B' _]; subst. clear all R.
  assert (x_pos : (0 < x)%R) by apply exp_pos.
  destruct (0 <=? d) eqn:sign.
  - exists unit, 1%R, x. cbn [fst snd]. repeat split; try lra; try apply A; try apply B'. unfold x.
    apply Z.leb_le in sign. rewrite Z.abs_eq by exact sign. rewrite <- exp_plus.
    replace (- (IZR d * pow2 exponent / sqrt (IZR head)) + IZR d * pow2 exponent / sqrt (IZR head))%R with 0%R by ring. symmetry. apply exp_0.
  - exists unit, x, 1%R. cbn [fst snd]. repeat split; try lra; try apply A; try apply B'. unfold x.
    apply Z.leb_gt in sign. rewrite Rmult_1_l. f_equal. rewrite Z.abs_neq by lia. rewrite opp_IZR. unfold Rdiv. ring.
Qed.

(** ** The program *)

(** Of the positions before the query, sums of the n heaviest ends for each n, and all lower ends; and the last position. *)
Record position_sums := Position_sums { tops_low : list Z; tops_high : list Z; all_low : Z; at_last : Z * Z }.

Definition position_sums_of (k : nat) (ends : list (Z * Z)) : position_sums :=
  let before := firstn (k - 1) ends in
  let (lows, highs) := (map fst before, map snd before) in
  {| tops_low := map (fun n => top n lows) (seq 0 k); tops_high := map (fun n => top n highs) (seq 0 k);
     all_low := add_up lows; at_last := nth (k - 1) ends (0, 0) |}.

Definition range_of (k n : nat) (alone : bool) (bits gap : Z) (sums : position_sums) (near far : ratio) : list Z :=
  let held := (k - 1 - n)%nat in
  let '((x_low, _), (_, y_high)) := near in
  let '((_, x_high), (y_low, _)) := far in
  let (last_low, last_high) := at_last sums in
  let own_low := Z.max 0 (all_low sums - nth n (tops_low sums) 0) + (if alone then last_low else 0) in
  let own_high := nth held (tops_high sums) 0 + (if alone then last_high else 0) in
  let rest_low := Z.max 0 (all_low sums - nth held (tops_low sums) 0) + (if alone then 0 else last_low) in
  let rest_high := nth n (tops_high sums) 0 + (if alone then 0 else last_high) in
  let (part, part') := (own_low * x_low, own_high * x_high) in
  [gap; Z.shiftl part bits / (part + rest_high * y_high); quotient_up (Z.shiftl part' bits) (part' + rest_low * y_low)].

Fixpoint without_repeats (l : list Z) : list Z :=
  match l with [] => [] | x :: rest => let more := without_repeats rest in if existsb (Z.eqb x) more then more else x :: more end.

Definition ratios_of (head : Z) (known : memo) (bits exponent : Z) (row : list Z) (error : Z) (m : nat) (gap : Z) : ratio * ratio :=
  let inside := firstn (S (m - Z.to_nat gap)) row in
  let own := nth m row 0 in
  (exponential_ratio head known bits exponent (own - largest inside - error),
   exponential_ratio head known bits exponent (own - smallest inside + error)).

Definition ranges_of_pair (ratios : Z -> ratio * ratio) (k q m : nat) (bits : Z) (sums : position_sums) (gaps : list Z) : list (list Z) :=
  let known := map (fun gap => (gap, if gap =? 0 then (((0, 0), (0, 0)), ((0, 0), (0, 0))) else ratios gap)) (without_repeats gaps) in
  map (fun one : nat * Z => let (n, gap) := one in
    if gap =? 0 then [] else
    let (near, far) := match find (fun one => fst one =? gap) known with Some one => snd one | None => ratios gap end in
    range_of k n (Nat.eqb q m) bits gap sums near far) (combine (seq 0 (length gaps)) gaps).

(** How many n a pair has. *)
Definition ns_of_pair (k q m : nat) : nat := if Nat.eqb q m then k else (k - 1)%nat.

Definition gaps_shaped (v k : nat) (gaps : list (list (list Z))) : bool :=
  Nat.eqb (length gaps) v
  && forallb (fun m => let rows := nth m gaps [] in Nat.eqb (length rows) (S m)
       && forallb (fun q => Nat.eqb (length (nth q rows [])) (ns_of_pair k q m)) (seq 0 (S m))) (seq 0 v).

Definition gap_fits (m q n : nat) (gap : Z) : bool :=
  (gap =? 0) || ((1 <=? gap) && (gap <=? Z.of_nat m) && (if Nat.eqb q m then Nat.ltb 0 n else Z.of_nat q <=? Z.of_nat m - gap)).

Definition gaps_keep_apart (v : nat) (gaps : list (list (list Z))) : bool :=
  forallb (fun m => forallb (fun q => let row := nth q (nth m gaps []) [] in
    forallb (fun n => gap_fits m q n (nth n row 0)) (seq 0 (length row))) (seq 0 (S m))) (seq 0 v).

(** Scales of all differences that can occur, of whatever size. *)
Definition known_scales (head bits exponent : Z) (kept : list (list Z)) (error : list Z) : memo :=
  let most := fold_right (fun row most => Z.max most (largest row + largest (map Z.opp row))) 0 kept + Z.abs (largest error) in
  add_scales head bits exponent (0 :: map (fun i => - Z.shiftl 1 (Z.of_nat i)) (seq 0 (Z.to_nat (bit_length most)))) [].

(** Ends of the weights of all positions, of each query. *)
Definition position_ends (w : weights) (bits : Z) : list (list (Z * Z)) :=
  let P := position_scores_table w in
  let known := fold_right (add_scales (head_of w) bits (exponent P)) [] (rows P) in
  map (fun row => aligned (exponentials (head_of w) known bits (exponent P) row)) (rows P).

Definition attention_ranges (w : weights) (bits : Z) (gaps : list (list (list Z))) (kept : matrix) (error : list Z) : outcome fact :=
  let (v, k) := (vocabulary w, positions w) in
  require (0 <=? bits) out_of_range
  (require (gaps_shaped v k gaps) wrong_shape
  (require (gaps_keep_apart v gaps) bad_gap
  (let head := head_of w in
   let all_sums := map (position_sums_of k) (position_ends w bits) in
   let known := known_scales head bits (exponent kept) (rows kept) error in
   Fine (Attention_ranges bits (map (fun m => map (fun q =>
     let row := firstn (S m) (nth q (rows kept) []) in
     ranges_of_pair (ratios_of head known bits (exponent kept) row (nth q error 0) m) k q m bits
       (nth q all_sums (Position_sums [] [] 0 (0, 0))) (nth q (nth m gaps []) [])) (seq 0 (S m))) (seq 0 v)))))).

(** ** Soundness *)

Lemma list_max_attained : forall l, l <> [] -> In (list_max l) l.
Proof.
  induction l as [|x l IH]; intros some; [contradiction|]. destruct l as [|y l]; [left; cbn; lia|].
  specialize (IH ltac:(discriminate)). change (list_max (x :: y :: l)) with (Nat.max x (list_max (y :: l))).
  destruct (Nat.max_spec x (list_max (y :: l))) as [[_ ->]|[_ ->]]; [now right | now left].
Qed.

Lemma zsum_le : forall f g n, (forall p, (p < n)%nat -> f p <= g p) -> zsum n f <= zsum n g.
Proof.
  intros f g. induction n as [|n IH]; intros each; cbn [zsum]; [lia|]. pose proof (each n ltac:(lia)).
  assert (zsum n f <= zsum n g) by (apply IH; intros; apply each; lia). lia.
Qed.

Section Sums.
Variables (M : model) (t : list nat) (ends : list (Z * Z)) (up : R).
Hypothesis some : (0 < n_ctx M)%nat.
Hypothesis length_t : length t = n_ctx M.
Hypothesis length_ends : length ends = n_ctx M.
Notation k := (n_ctx M).
Notation q := (query M t).
Notation m := (label t).
Notation n := (others M t).
Notation w p := (exp (position_scores M q p / sqrt (INR (d_head M)))).
Hypothesis near : forall p, (p < k)%nat -> between up (nth p ends (0, 0)) (w p).
Notation before := (firstn (k - 1) ends).
Notation sums := (position_sums_of k ends).

Let other (p : nat) : bool := negb (Nat.eqb (nth p (firstn (k - 1) t) 0%nat) m).

Lemma length_before : length before = (k - 1)%nat.
Proof. rewrite firstn_length. lia. Qed.

Lemma count_others : trues (k - 1) other = Z.of_nat n.
Proof.
  assert (L : length (firstn (k - 1) t) = (k - 1)%nat) by (rewrite firstn_length; lia).
  rewrite <- L at 1. exact (trues_filter (fun x => negb (Nat.eqb x m)) (firstn (k - 1) t)).
Qed.

Lemma n_small : (n <= k - 1)%nat.
Proof.
  assert (L : length (firstn (k - 1) t) = (k - 1)%nat) by (rewrite firstn_length; lia).
  rewrite <- L. apply filter_not_longer.
Qed.

Lemma count_own : trues (k - 1) (fun p => negb (other p)) = Z.of_nat (k - 1 - n).
Proof. rewrite trues_rest, count_others. pose proof n_small. lia. Qed.

(** Lower and upper ends of those that are flagged. *)
Lemma flagged_between : forall b,
  (IZR (flagged (k - 1) b (fun p => fst (nth p before (0, 0)%Z))) <= sum (k - 1) (fun p => if b p then w p * up else 0)
    <= IZR (flagged (k - 1) b (fun p => snd (nth p before (0, 0)%Z))))%R.
Proof.
  intros b. unfold flagged. rewrite !zsum_real. split; apply sum_le; intros p P; destruct (b p); try (simpl; lra);
    rewrite nth_firstn_lt by exact P; destruct (near p ltac:(lia)) as [_ [lo hi]]; assumption.
Qed.

Lemma flagged_nonneg : forall b, 0 <= flagged (k - 1) b (fun p => fst (nth p before (0, 0))).
Proof.
  intros b. apply Z.le_trans with (zsum (k - 1) (fun _ => 0)).
  - clear. induction (k - 1)%nat as [|i IH]; [apply Z.le_refl | cbn [zsum]; lia].
  - apply zsum_le. intros p P. destruct (b p); [|lia]. rewrite nth_firstn_lt by exact P. apply (near p). lia.
Qed.

Lemma all_low_sum : all_low sums = zsum (k - 1) (fun p => fst (nth p before (0, 0))).
Proof. unfold position_sums_of. cbn [all_low]. rewrite <- (zsum_list _ fst (0, 0)), length_before. reflexivity. Qed.

Lemma top_at : forall i, (i <= k - 1)%nat ->
  nth i (tops_low sums) 0 = top i (map fst before) /\ nth i (tops_high sums) 0 = top i (map snd before).
Proof.
  intros i I. unfold position_sums_of. cbn [tops_low tops_high].
  rewrite !(nth_map _ _ _ (seq 0 k) i 0%nat 0) by (rewrite seq_length; lia). now rewrite seq_nth by lia.
Qed.

(** Of a set of positions: so many flagged, the others not. *)
Lemma flagged_ends : forall b i, trues (k - 1) b = Z.of_nat i -> (i <= k - 1)%nat ->
  (sum (k - 1) (fun p => if b p then w p * up else 0) <= IZR (nth i (tops_high sums) 0%Z))%R /\
  (IZR (Z.max 0 (all_low sums - nth (k - 1 - i) (tops_low sums) 0%Z)) <= sum (k - 1) (fun p => if b p then w p * up else 0))%R.
Proof.
  intros b i E I. destruct (top_at i I) as [_ Th]. destruct (top_at (k - 1 - i) ltac:(lia)) as [Tl _]. rewrite Th, Tl.
  destruct (flagged_between b) as [lo hi]. split.
  - apply Rle_trans with (1 := hi). apply IZR_le. pose proof (flagged_top _ snd (0, 0) before b i) as F. rewrite length_before in F. now apply F.
  - apply Rle_trans with (2 := lo). apply IZR_le. apply Z.max_lub; [apply flagged_nonneg|].
    pose proof (flagged_top _ fst (0, 0) before (fun p => negb (b p)) (k - 1 - i)) as F. rewrite length_before in F.
    specialize (F ltac:(rewrite trues_rest, E; lia)). rewrite flagged_rest in F. rewrite all_low_sum. lia.
Qed.

Lemma label_sum : forall yes no : nat -> R,
  (sum k (fun p => if_label t (yes p) (no p) p) * up
   = sum (k - 1) (fun p => if other p then no p * up else yes p * up) + (if Nat.eqb q m then yes (k - 1)%nat else no (k - 1)%nat) * up)%R.
Proof.
  intros yes no. replace k with (S (k - 1)) at 1 by lia. cbn [sum]. rewrite Rmult_plus_distr_r, <- sum_scale_r. f_equal.
  apply sum_ext. intros p P. unfold if_label, other. rewrite nth_firstn_lt by exact P. destruct (Nat.eqb (nth p t 0%nat) m); reflexivity.
Qed.

Lemma sides : let alone := Nat.eqb q m in let (last_low, last_high) := at_last sums in
  (IZR (Z.max 0%Z (all_low sums - nth n (tops_low sums) 0%Z) + (if alone then last_low else 0%Z)) <= own M t * up
    <= IZR (nth (k - 1 - n) (tops_high sums) 0%Z + (if alone then last_high else 0%Z)))%R /\
  (IZR (Z.max 0%Z (all_low sums - nth (k - 1 - n) (tops_low sums) 0%Z) + (if alone then 0%Z else last_low)) <= beside M t * up
    <= IZR (nth n (tops_high sums) 0%Z + (if alone then 0%Z else last_high)))%R /\ 0 <= last_low.
Proof.
  cbv zeta. unfold position_sums_of at 1. cbn [at_last]. destruct (near (k - 1)%nat ltac:(lia)) as [N [lo hi]].
  destruct (nth (k - 1) ends (0, 0)) as [l h]. cbn [fst snd] in *. pose proof n_small as small.
  destruct (flagged_ends other n count_others small) as [O1 O2].
  destruct (flagged_ends (fun p => negb (other p)) (k - 1 - n) count_own ltac:(lia)) as [P1 P2].
  replace (k - 1 - (k - 1 - n))%nat with n in P2 by lia.
  unfold own, beside. rewrite (label_sum (fun p => w p) (fun _ => 0%R)), (label_sum (fun _ => 0%R) (fun p => w p)).
  rewrite (sum_ext (k - 1) (fun p => if other p then 0 * up else w p * up)%R (fun p => if negb (other p) then w p * up else 0)%R)
    by (intros p _; destruct (other p); cbn [negb]; ring).
  rewrite (sum_ext (k - 1) (fun p => if other p then w p * up else 0 * up)%R (fun p => if other p then w p * up else 0)%R)
    by (intros p _; destruct (other p); ring).
  rewrite !plus_IZR. destruct (Nat.eqb q m); repeat split; try lra; try assumption.
Qed.
End Sums.

Lemma known_scales_right : forall head bits exponent kept error, right_memo head (known_scales head bits exponent kept error).
Proof. intros. unfold known_scales. apply add_scales_right. constructor. Qed.

Lemma ranges_of_pair_at : forall ratios k q m bits sums gaps n gap low high,
  nth n (ranges_of_pair ratios k q m bits sums gaps) [] = [gap; low; high] ->
  (n < length gaps)%nat /\ gap = nth n gaps 0 /\ gap <> 0 /\
  [gap; low; high] = range_of k n (Nat.eqb q m) bits gap sums (fst (ratios gap)) (snd (ratios gap)).
Proof.
  intros ratios k q m bits sums gaps n gap low high E. unfold ranges_of_pair in E.
  destruct (Nat.lt_ge_cases n (length gaps)) as [N|N].
  2:{ rewrite nth_overflow in E by (rewrite map_length, combine_length, seq_length; lia). discriminate. }
  rewrite (nth_map _ _ _ (combine (seq 0 (length gaps)) gaps) n (0%nat, 0) []) in E by (rewrite combine_length, seq_length; lia).
  rewrite combine_nth in E by apply seq_length. rewrite seq_nth in E by exact N. cbn [Nat.add] in E.
  set (g := nth n gaps 0) in *. destruct (g =? 0) eqn:zero; [discriminate|]. apply Z.eqb_neq in zero.
  set (known := map _ (without_repeats gaps)) in *.
  assert (R : match find (fun one => fst one =? g) known with Some one => snd one | None => ratios g end = ratios g).
  { destruct (find _ known) as [one|] eqn:F; [|reflexivity]. apply find_some in F. destruct F as [I same]. apply Z.eqb_eq in same.
    apply in_map_iff in I. destruct I as (g' & <- & _). cbn [fst snd] in *. subst g'. now apply Z.eqb_neq in zero as ->. }
  rewrite R in E. destruct (ratios g) as [near far] eqn:Rg.
  assert (gap = g).
  { unfold range_of in E. destruct near as [[? ?] [? ?]], far as [[? ?] [? ?]], (at_last sums). cbv zeta in E. inversion E. reflexivity. }
  subst gap. split; [exact N|]. split; [reflexivity|]. split; [exact zero|]. rewrite Rg. cbn [fst snd]. now symmetry.
Qed.

Lemma position_ends_between : forall w bits q, well_formed w = true -> 0 <= bits -> (q < d_vocab (model_of w))%nat ->
  (q < length (position_ends w bits))%nat /\ exists up, (0 < up)%R /\
    length (nth q (position_ends w bits) []) = n_ctx (model_of w) /\
    forall p, (p < n_ctx (model_of w))%nat -> between up (nth p (nth q (position_ends w bits) []) (0, 0))
      (exp (position_scores (model_of w) q p / sqrt (INR (d_head (model_of w))))).
Proof.
  intros w bits q good natural Q. unfold position_ends. cbv zeta. set (P := position_scores_table w).
  set (known := fold_right (add_scales (head_of w) bits (exponent P)) [] (rows P)).
  pose proof (stands_position_scores w good) as SP. fold P in SP.
  assert (right : right_memo (head_of w) known) by (apply scales_right; constructor).
  destruct (row_between w bits good natural known P _ _ _ q (n_ctx (model_of w)) right SP Q) as (up & up_pos & each).
  assert (LP : length (rows P) = d_vocab (model_of w)) by apply SP.
  assert (Lr : length (nth q (rows P) []) = n_ctx (model_of w)) by (apply (row_length _ _ _ _ (proj1 SP) Q)).
  split; [rewrite map_length; lia|]. exists up. split; [exact up_pos|].
  rewrite (nth_map _ _ (fun row => aligned (exponentials (head_of w) known bits (exponent P) row)) (rows P) q [] []) by lia.
  split; [unfold aligned, exponentials; now rewrite !map_length|]. intros p Hp. specialize (each p Hp Hp).
  rewrite firstn_all2 in each by (unfold exponentials; rewrite map_length; lia). exact each.
Qed.

Theorem attention_ranges_sound : forall w margin bits gaps kept error f, well_formed w = true ->
  holds (model_of w) margin (Score_approximation kept error) -> attention_ranges w bits gaps kept error = Fine f ->
  holds (model_of w) margin f.
Proof.
  intros w margin bits gaps kept error f good close E. unfold attention_ranges in E.
  set (v := vocabulary w) in *. set (k := positions w) in *.
  apply require_fine in E. destruct E as [natural E]. apply Z.leb_le in natural.
  apply require_fine in E. destruct E as [shape E]. apply require_fine in E. destruct E as [apart E]. apply fine_eq in E. subst f.
  set (known := known_scales (head_of w) bits (exponent kept) (rows kept) error).
  set (all_sums := map (position_sums_of k) (position_ends w bits)).
  set (ratios := fun q m => ratios_of (head_of w) known bits (exponent kept) (firstn (S m) (nth q (rows kept) [])) (nth q error 0) m).
  set (ranges := map _ (seq 0 v)).
  assert (at_ : forall m q n gap low high, (q <= m)%nat -> range_at ranges m q n = [gap; low; high] ->
    (m < v)%nat /\ (n < ns_of_pair k q m)%nat /\ gap_fits m q n gap = true /\ gap <> 0 /\
    [gap; low; high] = range_of k n (Nat.eqb q m) bits gap (nth q all_sums (Position_sums [] [] 0 (0, 0)))
      (fst (ratios q m gap)) (snd (ratios q m gap))).
  { intros m q n gap low high Q R. unfold range_at in R.
    destruct (Nat.lt_ge_cases m v) as [Hm|Hm].
    2:{ rewrite (nth_overflow ranges) in R by (unfold ranges; rewrite map_length, seq_length; exact Hm). destruct q, n; discriminate. }
    unfold ranges in R. rewrite (nth_map _ _ _ (seq 0 v) m 0%nat []) in R by now rewrite seq_length.
    rewrite seq_nth in R by exact Hm. cbn [Nat.add] in R.
    rewrite (nth_map _ _ _ (seq 0 (S m)) q 0%nat []) in R by (rewrite seq_length; lia). rewrite seq_nth in R by lia. cbn [Nat.add] in R.
    apply ranges_of_pair_at in R. destruct R as (N & G & nonzero & R).
    unfold gaps_shaped in shape. apply andb_prop in shape. destruct shape as [_ shape]. rewrite forallb_forall in shape.
    specialize (shape m ltac:(apply in_seq; lia)). apply andb_prop in shape. destruct shape as [_ shape]. rewrite forallb_forall in shape.
    specialize (shape q ltac:(apply in_seq; lia)). apply Nat.eqb_eq in shape.
    unfold gaps_keep_apart in apart. rewrite forallb_forall in apart. specialize (apart m ltac:(apply in_seq; lia)).
    rewrite forallb_forall in apart. specialize (apart q ltac:(apply in_seq; lia)). cbv zeta in apart. rewrite forallb_forall in apart.
    specialize (apart n ltac:(apply in_seq; lia)). rewrite <- G in apart.
    split; [exact Hm|]. split; [lia|]. split; [exact apart|]. split; [exact nonzero | exact R]. }
  split.
  - intros m q n gap low high Q R. destruct (at_ m q n gap low high Q R) as (_ & _ & fit & nonzero & _). unfold gap_fits in fit.
    apply orb_prop in fit. destruct fit as [zero|fit]; [apply Z.eqb_eq in zero; contradiction|].
    rewrite !andb_true_iff, !Z.leb_le in fit. destruct fit as [[low1 high1] fit]. split; [lia|]. intros other.
    destruct (Nat.eqb q m) eqn:same; [apply Nat.eqb_eq in same; contradiction | now apply Z.leb_le].
  - intros t is_t. unfold range_true. set (m := label t). set (q := query (model_of w) t). set (n := others (model_of w) t).
    assert (q_le_m : (q <= m)%nat) by apply tokens_up_to_m.
    destruct (range_at ranges m q n) as [|gap [|low [|high [|]]]] eqn:R; try exact I.
    destruct (at_ m q n gap low high q_le_m R) as (Hm & N & fit & nonzero & value). clear at_ shape apart. intros below.
    unfold gap_fits in fit. apply orb_prop in fit. destruct fit as [zero|fit]; [apply Z.eqb_eq in zero; contradiction|].
    rewrite !andb_true_iff, !Z.leb_le in fit. destruct fit as [[gap_low gap_high] _].
    set (M := model_of w) in *. change v with (d_vocab M) in *. change k with (n_ctx M) in *.
    destruct is_t as [L all_small]. destruct (sizes w good) as (_ & _ & _ & K). fold M in K.
    assert (Qs : (q < d_vocab M)%nat) by exact (Nat.le_lt_trans _ _ _ q_le_m Hm).
    destruct (position_ends_between w bits q good natural Qs) as (Lq & up & up_pos & Le & near_p).
    set (ends := nth q (position_ends w bits) []) in *.
    assert (sums_at : nth q all_sums (Position_sums [] [] 0 (0, 0)) = position_sums_of (n_ctx M) ends).
    { unfold all_sums, ends. now rewrite (nth_map _ _ (position_sums_of (n_ctx M)) (position_ends w bits) q [] _ Lq). }
    rewrite sums_at in value. clear sums_at.
    pose proof (sides M t ends up K L Le near_p) as sided. cbv zeta in sided. fold q m n in sided.
    (* what the other tokens weigh beside the maximum *)
    destruct close as ([Lk Sk] & Ler & close). specialize (close q).
    assert (Lrow : length (nth q (rows kept) []) = d_vocab M) by (apply (row_length kept (d_vocab M) (d_vocab M)); [now split | lia]).
    set (row := firstn (S m) (nth q (rows kept) [])) in *. set (er := nth q error 0) in *.
    set (inside := firstn (S (m - Z.to_nat gap)) row) in *. set (own_score := nth m row 0) in *.
    assert (Own : own_score = entry kept q m) by (unfold own_score, row; now rewrite nth_firstn_lt by lia).
    assert (root_pos : (0 < sqrt (INR (d_head M)))%R).
    { apply sqrt_lt_R0. destruct (sizes w good) as (_ & _ & H & _). now apply lt_0_INR. }
    set (root := sqrt (INR (d_head M))) in *.
    assert (same_root : sqrt (IZR (head_of w)) = root) by (unfold head_of, root; now rewrite <- INR_IZR_INZ).
    set (near_d := own_score - largest inside - er) in *. set (far_d := own_score - smallest inside + er) in *.
    pose proof (exponential_ratio_right (head_of w) known bits (exponent kept) near_d (known_scales_right _ _ _ _ _) (head_pos w good) natural) as Rn.
    pose proof (exponential_ratio_right (head_of w) known bits (exponent kept) far_d (known_scales_right _ _ _ _ _) (head_pos w good) natural) as Rf.
    rewrite same_root in Rn, Rf. unfold ratios, ratios_of in value. cbn [fst snd] in value. fold row er inside own_score near_d far_d in value.
    set (near := exponential_ratio _ _ _ _ near_d) in *. set (far := exponential_ratio _ _ _ _ far_d) in *.
    set (En := exp (IZR near_d * pow2 (exponent kept) / root)) in *. set (Ef := exp (IZR far_d * pow2 (exponent kept) / root)) in *.
    assert (En_pos : (0 < En)%R) by apply exp_pos. assert (Ef_pos : (0 < Ef)%R) by apply exp_pos.
    set (Em := exp (token_scores M q m / root)). assert (Em_pos : (0 < Em)%R) by apply exp_pos.
    assert (each : forall p, (p < n_ctx M)%nat -> nth p t 0%nat <> m ->
      (/ Ef * Em <= exp (token_scores M q (nth p t 0%nat) / root) <= / En * Em)%R).
    { intros p P other. specialize (below p P other). set (x := nth p t 0%nat) in *.
      assert (X : (x <= m - Z.to_nat gap)%nat) by lia.
      assert (Inside : In (entry kept q x) inside).
      { assert (Ex : nth x inside 0 = entry kept q x) by (unfold inside, row; rewrite !nth_firstn_lt by lia; reflexivity).
        rewrite <- Ex. apply nth_In. unfold inside, row. rewrite !firstn_length. lia. }
      pose proof (largest_ge _ _ Inside) as Hi. pose proof (smallest_le _ _ Inside) as Lo.
      specialize (close m x ltac:(lia) Hm ltac:(lia)). fold er in close. unfold number in close.
      assert (bounds : (IZR near_d * pow2 (exponent kept) <= token_scores M q m - token_scores M q x <= IZR far_d * pow2 (exponent kept))%R).
      { apply IZR_le in Hi, Lo. unfold near_d, far_d. rewrite plus_IZR, !minus_IZR, Own. pose proof (pow2_pos (exponent kept)) as pe.
        set (S1 := token_scores M q m) in *. set (S2 := token_scores M q x) in *.
        set (u := pow2 (exponent kept)) in *.
        assert (IZR (entry kept q x) * u <= IZR (largest inside) * u)%R by (apply Rmult_le_compat_r; lra).
        assert (IZR (smallest inside) * u <= IZR (entry kept q x) * u)%R by (apply Rmult_le_compat_r; lra).
        unfold Rabs in close. destruct (Rcase_abs _) in close; lra. }
      assert (E : exp (token_scores M q x / root) = (exp (- ((token_scores M q m - token_scores M q x) / root)) * Em)%R).
      { unfold Em. rewrite <- exp_plus. f_equal. field. lra. }
      rewrite E. unfold En, Ef. rewrite <- !exp_Ropp. assert (inv_pos : (0 < / root)%R) by (now apply Rinv_0_lt_compat).
      split; apply Rmult_le_compat_r; try lra; apply exp_decreasing; unfold Rdiv; apply Rmult_le_compat_r; lra. }
    destruct (others_between M t (/ Ef) (/ En) each) as [others_low others_high].
    cbv beta in others_low, others_high. fold q m root Em in others_low, others_high.
    pose proof (attention_share M t K) as share. cbv beta in share. fold q m root Em in share. rewrite share.
    set (O := of_others M t) in *. set (a := own M t) in *. set (b := beside M t) in *.
    assert (a_pos : (0 < a)%R).
    { assert (holds_m : In m t) by (apply list_max_attained; intros none; rewrite none in L; cbn [length] in L; lia).
      apply (In_nth _ _ 0%nat) in holds_m. destruct holds_m as (p & P & Ep). rewrite L in P.
      unfold a, own. apply Rlt_le_trans with (sum (n_ctx M) (fun i => if Nat.eqb i p then exp (position_scores M q p / root) else 0)%R).
      - assert (G : forall c (i : nat), (p < i)%nat -> sum i (fun i => if Nat.eqb i p then c else 0)%R = c).
        { intros c. induction i as [|i IH]; intros Hi; [lia|]. cbn [sum]. destruct (Nat.eqb i p) eqn:Eq.
          - apply Nat.eqb_eq in Eq. subst i. assert (Zero : forall j, (j <= p)%nat -> sum j (fun i => if Nat.eqb i p then c else 0)%R = 0%R).
            { induction j as [|j IHj]; intros Hj; [reflexivity|]. cbn [sum]. rewrite IHj by lia.
              replace (Nat.eqb j p) with false by (symmetry; apply Nat.eqb_neq; lia). ring. }
            rewrite Zero by lia. ring.
          - apply Nat.eqb_neq in Eq. rewrite IH by lia. ring. }
        rewrite G by exact P. apply exp_pos.
      - apply sum_le. intros i I. unfold if_label. destruct (Nat.eqb i p) eqn:Eq.
        + apply Nat.eqb_eq in Eq. subst i. rewrite Ep. unfold m at 1. rewrite Nat.eqb_refl. fold q root. lra.
        + destruct (Nat.eqb (nth i t 0%nat) (label t)); [apply Rlt_le; apply exp_pos | apply Rle_refl]. }
    assert (O_nonneg : (0 <= O)%R) by exact (of_others_nonneg M t).
    assert (b_nonneg : (0 <= b)%R).
    { apply sum_nonneg. intros i _. unfold if_label. destruct (Nat.eqb (nth i t 0%nat) (label t)); [apply Rle_refl | apply Rlt_le; apply exp_pos]. }
    unfold range_of in value. destruct near as [[x_low x_h] [y_l y_high]], far as [[x_l x_high] [y_low y_h]].
    destruct (at_last (position_sums_of (n_ctx M) ends)) as [last_low last_high]. destruct sided as ([S1 S2] & [S3 S4] & S5).
    cbv zeta in value.
    set (own_low := Z.max 0 _ + (if Nat.eqb q m then last_low else 0)) in *.
    set (own_high := nth (n_ctx M - 1 - n) _ 0 + (if Nat.eqb q m then last_high else 0)) in *.
    set (rest_low := Z.max 0 _ + (if Nat.eqb q m then 0 else last_low)) in *.
    set (rest_high := nth n _ 0 + (if Nat.eqb q m then 0 else last_high)) in *.
    assert (own_low_nonneg : 0 <= own_low) by (unfold own_low; destruct (Nat.eqb q m); lia).
    assert (rest_low_nonneg : 0 <= rest_low) by (unfold rest_low; destruct (Nat.eqb q m); lia).
    apply (IZR_le 0) in own_low_nonneg as own_low_r, rest_low_nonneg as rest_low_r.
    destruct Rn as (un & X & Y & un_pos & X_pos & Y_pos & [xn [x1 x2]] & [yn [y1 y2]] & XY).
    destruct Rf as (uf & X' & Y' & uf_pos & X'_pos & Y'_pos & [xn' [x1' x2']] & [yn' [y1' y2']] & XY'). cbn [fst snd] in *.
    apply (IZR_le 0) in xn as xn_r, yn' as yn_r.
    inversion value as [[V1 V2]]. clear value. split.
    + (* from below *)
      set (p := (a * up * (X * un))%R). set (r := (b * up * (Y * un))%R).
      assert (p_pos : (0 < p)%R) by (repeat apply Rmult_lt_0_compat; assumption).
      assert (r_nonneg : (0 <= r)%R) by (repeat apply Rmult_le_pos; lra).
      assert (rest_high_r : (0 <= IZR rest_high)%R) by (apply Rle_trans with (2 := S4); apply Rmult_le_pos; lra).
      assert (y_high_r : (0 <= IZR y_high)%R) by (apply Rle_trans with (2 := y2); apply Rmult_le_pos; lra).
      apply Rle_trans with (p / (p + r) * pow2 bits)%R.
      * apply share_below; [ | | exact natural | | | lra].
        -- apply Z.mul_nonneg_nonneg; assumption.
        -- apply le_IZR. rewrite mult_IZR. now apply Rmult_le_pos.
        -- rewrite mult_IZR. apply Rmult_le_compat; assumption.
        -- split; [exact r_nonneg|]. rewrite mult_IZR. apply Rmult_le_compat; try assumption; apply Rmult_le_pos; lra.
      * apply Rmult_le_compat_r; [apply Rlt_le, pow2_pos|].
        assert (Er : (r = b * / En * (up * (X * un)))%R) by (unfold r; rewrite XY; field; lra).
        assert (scaled : (p / (p + r) = a * Em / (a * Em + b * (/ En * Em)))%R).
        { rewrite Er. unfold p. field. repeat split; try lra.
          - assert (0 < a * Em * En)%R by (repeat apply Rmult_lt_0_compat; assumption). assert (0 <= b * Em)%R by (apply Rmult_le_pos; lra). lra.
          - assert (0 < a * (up * (X * un)) * En)%R by (repeat apply Rmult_lt_0_compat; assumption).
            assert (0 <= b * (up * (X * un)))%R by (repeat apply Rmult_le_pos; lra). lra. }
        rewrite scaled. assert (0 < a * Em)%R by now apply Rmult_lt_0_compat.
        unfold Rdiv. apply Rmult_le_compat_l; [lra|]. apply Rinv_le_contravar; lra.
    + (* from above *)
      set (p := (a * up * (X' * uf))%R). set (r := (b * up * (Y' * uf))%R).
      assert (p_pos : (0 < p)%R) by (repeat apply Rmult_lt_0_compat; assumption).
      assert (r_nonneg : (0 <= r)%R) by (repeat apply Rmult_le_pos; lra).
      apply Rle_trans with (p / (p + r) * pow2 bits)%R.
      * apply Rmult_le_compat_r; [apply Rlt_le, pow2_pos|].
        assert (Er : (r = b * / Ef * (up * (X' * uf)))%R) by (unfold r; rewrite XY'; field; lra).
        assert (scaled : (p / (p + r) = a * Em / (a * Em + b * (/ Ef * Em)))%R).
        { rewrite Er. unfold p. field. repeat split; try lra.
          - assert (0 < a * Em * Ef)%R by (repeat apply Rmult_lt_0_compat; assumption). assert (0 <= b * Em)%R by (apply Rmult_le_pos; lra). lra.
          - assert (0 < a * (up * (X' * uf)) * Ef)%R by (repeat apply Rmult_lt_0_compat; assumption).
            assert (0 <= b * (up * (X' * uf)))%R by (repeat apply Rmult_le_pos; lra). lra. }
        rewrite scaled. assert (0 < a * Em)%R by now apply Rmult_lt_0_compat.
        assert (0 <= b * (/ Ef * Em))%R by (apply Rmult_le_pos; [lra | apply Rmult_le_pos; [apply Rlt_le, Rinv_0_lt_compat; lra | lra]]).
        unfold Rdiv. apply Rmult_le_compat_l; [lra|]. apply Rinv_le_contravar; lra.
      * apply share_above; [ | exact natural | | ].
        -- apply Z.mul_nonneg_nonneg; assumption.
        -- split; [exact p_pos|]. rewrite mult_IZR. unfold p. apply Rmult_le_compat; try assumption; apply Rmult_le_pos; lra.
        -- rewrite mult_IZR. unfold r. apply Rmult_le_compat; assumption.
Qed.
