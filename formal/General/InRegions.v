(** Means of heads over the inputs of a region: the lemmas of Means.v, for tables as the rules make them. *)

From Coq Require Import Reals ZArith List Lra Lia Arith Bool.
From Compact Require Import Spec.Model Spec.General Real.Sums Integer.Dyadic Integer.Matrix Real.ScaledExp Count.Counting.
From Compact Require Import Regions.Inputs Regions.Groups Regions.Layers Regions.Building Regions.Listing Regions.Longest.
From Compact Require Import General.Heads General.Exponentials General.Balls General.Tables General.Means General.Relu General.Ends General.Problem.
Import ListNotations.
Open Scope R_scope.

Lemma along_sum : forall T x p, IZR (along T p x) = sum (length x) (fun i => IZR (T (p + i)%nat (nth i x 0%nat))).
Proof.
  intros T. induction x as [|t x IH]; intros p; [reflexivity|]. cbn [along length]. rewrite sum_first, plus_IZR, IH, Nat.add_0_r.
  f_equal. apply sum_ext. intros i _. cbn [nth]. now replace (p + S i)%nat with (S p + i)%nat by lia.
Qed.

(** Of the weights of all inputs of a region, at least and at most. *)
Definition least_sum (rg : region) (ends : list (list (Z * Z))) : Z := (- longest (as_table (map (map (fun e => - fst e)%Z) ends)) (layers rg))%Z.
Definition most_sum (rg : region) (ends : list (list (Z * Z))) : Z := longest (as_table (map (map snd) ends)) (layers rg).

Section Region.
Variables (w : layer_weights) (P : problem) (bits : Z) (groups : list group) (rg : region) (x : list nat).
Hypothesis fits : problem_fits w P = true.
Hypothesis natural : (0 <= bits)%Z.
Hypothesis among : In rg (regions_of (readout P) (allowed P) groups).
Hypothesis input : In x (inputs (allowed P)).
Hypothesis inside : member (readout P) rg x = true.
Notation L := (layer_of w).
Notation v := (size_v w).
Notation m := (size_m w).
Notation r := (readout P).
Notation seen := (seen_positions w P).
Notation tables := (tables_of_layer w bits r seen).
Notation flags := (flags_of w P rg).
Notation at_ p := (nth p x 0%nat).

Definition powers_at (q : nat) (one : one_head_tables) : list (list (option power)) := powers_of (scaled tables) r q one.

Lemma shaped : well_shaped w = true.
Proof. now pose proof (fits_parts w P fits). Qed.

Lemma seen_right : visible L x r = seen.
Proof. now apply visible_of_input. Qed.

Lemma seen_some : (0 < visible L x r)%nat.
Proof. rewrite seen_right. pose proof (seen_fits w P fits). lia. Qed.

Lemma positions_exist : (seen <= length (rows (embed_pos w)))%nat.
Proof. pose proof (fits_parts w P fits) as (_ & _ & N & _). pose proof (seen_fits w P fits). lia. Qed.

Lemma token_small : forall p, (p < seen)%nat -> (at_ p < v)%nat.
Proof. intros p H. pose proof (seen_fits w P fits). apply (input_token w P fits x p input). lia. Qed.

Lemma query_small : (query rg < v)%nat.
Proof. rewrite <- (query_of_input P rg x inside). apply token_small, (seen_fits w P fits). Qed.

Section Head.
Variables (h : head_weights) (one : one_head_tables).
Hypothesis right : head_right w bits r seen h one.
Hypothesis known : all_known flags (powers_at (query rg) one) = true.
Notation H := (head_of_weights h).
Notation ends := (ends_read flags (powers_at (query rg) one)).

Lemma powers_rectangle : rectangle seen v (powers_at (query rg) one).
Proof.
  destruct right as (LA & LR & _). unfold powers_at, powers_of. split.
  - rewrite map_length, combine_length, seq_length. lia.
  - intros p Hp. rewrite (nth_map _ _ _ _ p (0%nat, []) []) by (rewrite combine_length, seq_length; lia).
    rewrite combine_nth by apply seq_length. rewrite map_length, combine_length, seq_length. rewrite LR by assumption. lia.
Qed.

Lemma adding_rectangle : rectangle seen v (adding one).
Proof. destruct right as (_ & _ & R & _). exact R. Qed.

Lemma weights_enclosed : rectangle seen v ends /\ exists unit, 0 < unit /\
  forall p, (p < visible L x r)%nat -> between unit (at2 (0, 0)%Z ends p (at_ p)) (weighs L H r (at_ r) p (at_ p)).
Proof.
  destruct (ends_right bits seen v flags (powers_at (query rg) one)) as [E (unit & positive & each)];
    [now apply flags_rectangle with (groups := groups) (x := x) | exact powers_rectangle | exact known|].
  split; [exact E|]. exists unit. split; [exact positive|]. intros p Hp. rewrite seen_right in Hp.
  apply each; [exact Hp | now apply token_small | now apply flags_read with (groups := groups) |].
  intros a A. rewrite (query_of_input P rg x inside).
  apply (power_right w bits r seen shaped natural (proj1 (seen_fits w P fits)) positions_exist) with (one := one); auto.
  - apply query_small.
  - now apply token_small.
Qed.

(** A table that bounds a number of each token at each position, of which the head takes the mean. *)
Section Gains.
Variables (gains : list (list Z)) (g : nat -> nat -> R).
Hypothesis gains_rectangle : rectangle seen v gains.
Hypothesis gains_bound : forall p, (p < seen)%nat -> g p (at_ p) * pow2 bits <= IZR (as_table gains p (at_ p)).
Notation mean := (mean_of L x r H g).

Lemma gains_above : forall p, (p < visible L x r)%nat -> g p (at_ p) * pow2 bits <= IZR (as_table gains p (at_ p)).
Proof. intros p Hp. apply gains_bound. now rewrite <- seen_right. Qed.

Lemma terms_rectangle : forall less, rectangle seen v (worst_terms less gains ends).
Proof. intros. apply zip2_rectangle; [exact gains_rectangle | apply weights_enclosed]. Qed.

Lemma terms_at : forall less p, (p < seen)%nat ->
  as_table (worst_terms less gains ends) p (at_ p) = worst less (as_table gains p (at_ p)) (at2 (0, 0)%Z ends p (at_ p)).
Proof.
  intros less p Hp. unfold as_table, worst_terms. apply zip2_at with (r := seen) (c := v); auto using gains_rectangle, token_small.
  apply weights_enclosed.
Qed.

(** The sum of a table over an input is one over the positions that are seen. *)
Lemma along_table : forall T, rectangle seen v T -> IZR (along (as_table T) 0 x) = sum seen (fun p => IZR (as_table T p (at_ p))).
Proof.
  intros T R. rewrite along_sum. cbn [Nat.add]. apply sum_of_table with (c := v); [exact R|]. rewrite (input_length P x input). apply (seen_fits w P fits).
Qed.

Lemma mean_hinted : forall bound, (longest (as_table (worst_terms bound gains ends)) (layers rg) <= 0)%Z ->
  mean * pow2 bits <= IZR bound.
Proof.
  intros bound below. destruct weights_enclosed as [_ (unit & positive & enclosed)].
  apply (mean_below L x r bits H seen_some unit (at2 (0, 0)%Z ends) (as_table gains) _ positive enclosed gains_above).
  pose proof (fits_parts w P fits) as (_ & R & _).
  pose proof (longest_upper (as_table (worst_terms bound gains ends)) r (allowed P) groups R rg x among input inside) as up.
  apply Rle_trans with (IZR (along (as_table (worst_terms bound gains ends)) 0 x)); [|apply (IZR_le _ 0); lia].
  rewrite along_table by apply terms_rectangle. rewrite seen_right. right. apply sum_ext. intros p Hp. now rewrite terms_at.
Qed.

Lemma reaches_of_one : forall K, 0 <= IZR K + mean * pow2 bits ->
  (0 <= along (as_table (worst_terms (- K) gains ends)) 0 x)%Z.
Proof.
  intros K reached. destruct weights_enclosed as [_ (unit & positive & enclosed)].
  pose proof (reaches_alone L x r bits H seen_some unit (at2 (0, 0)%Z ends) (as_table gains) _ positive enclosed gains_above K reached) as up.
  apply le_IZR. rewrite along_table by apply terms_rectangle. rewrite seen_right in up. simpl (IZR 0).
  rewrite (sum_ext seen _ (fun p => IZR (worst (- K) (as_table gains p (at_ p)) (at2 (0, 0)%Z ends p (at_ p))))); [exact up|].
  intros p Hp. now rewrite terms_at.
Qed.
(** Ends of the sums of the weights of all inputs. *)
Lemma shares_of_one : forall mean_ T, (0 < least_sum rg ends)%Z ->
  T = map (map (share (least_sum rg ends) (most_sum rg ends))) (worst_terms mean_ gains ends) ->
  rectangle seen v T /\ mean * pow2 bits - IZR mean_ <= sum seen (fun p => IZR (as_table T p (at_ p))).
Proof.
  intros bound T positive_ ->. destruct weights_enclosed as [RE (unit & positive & enclosed)].
  assert (RT : rectangle seen v (map (map (share (least_sum rg ends) (most_sum rg ends))) (worst_terms bound gains ends)))
    by (apply map2_rectangle, terms_rectangle).
  split; [exact RT|]. pose proof (fits_parts w P fits) as (_ & R & _).
  assert (between_ : IZR (least_sum rg ends) <= denominator L x r H * unit <= IZR (most_sum rg ends)).
  { pose proof (denominator_ends L x r H unit (at2 (0, 0)%Z ends) enclosed) as [D1 D2]. rewrite seen_right in D1, D2. split.
    - apply Rle_trans with (2 := D1). unfold least_sum. set (T := map _ ends).
      assert (RT' : rectangle seen v T) by (apply map2_rectangle; exact RE).
      pose proof (longest_upper (as_table T) r (allowed P) groups R rg x among input inside) as up. apply IZR_le in up.
      rewrite along_table in up by exact RT'. rewrite opp_IZR.
      rewrite (sum_ext seen (fun p => IZR (as_table T p (at_ p))) (fun p => -1 * IZR (fst (at2 (0, 0)%Z ends p (at_ p))))) in up.
      + rewrite sum_scale in up. lra.
      + intros p Hp. unfold as_table, T. rewrite (map2_at seen v _ _ _ _ (0, 0)%Z) by (auto using token_small). rewrite opp_IZR. ring.
    - apply Rle_trans with (1 := D2). unfold most_sum. set (T := map _ ends).
      assert (RT' : rectangle seen v T) by (apply map2_rectangle; exact RE).
      pose proof (longest_upper (as_table T) r (allowed P) groups R rg x among input inside) as up. apply IZR_le in up.
      rewrite along_table in up by exact RT'. apply Rle_trans with (2 := up). right. apply sum_ext. intros p Hp. unfold as_table, T.
      now rewrite (map2_at seen v _ _ _ _ (0, 0)%Z) by (auto using token_small). }
  pose proof (mean_shared L x r bits H seen_some unit (at2 (0, 0)%Z ends) (as_table gains) g positive enclosed gains_above bound _ _ positive_ between_) as G.
  rewrite seen_right in G. apply Rle_trans with (1 := G). right. apply sum_ext. intros p Hp. symmetry. unfold as_table at 1.
  rewrite (map2_at seen v _ _ _ _ 0%Z) by (auto using token_small, terms_rectangle).
  fold (as_table (worst_terms bound gains ends) p (at_ p)). now rewrite terms_at.
Qed.
End Gains.

(** Of a class, with lines in the place of neurons. *)
Lemma class_gains : forall c y ys slopes, (c < m)%nat -> (y < m)%nat -> In y ys -> length slopes = size_k w ->
  let gains := gains_of bits (exponent (neuron_table w)) m c (lines_of (neuron_table w) c ys slopes) one in
  rectangle seen v gains /\ forall p, (p < seen)%nat ->
    bent L (fun j => IZR (nth j slopes 0%Z) * pow2 (- bits)) y c (value_of_head L H p (at_ p)) * pow2 bits <= IZR (as_table gains p (at_ p)).
Proof.
  intros c y ys slopes C Y I Ls gains. split; [apply map2_rectangle, adding_rectangle|]. intros p Hp. unfold gains, as_table, gains_of.
  rewrite (map2_at seen v _ _ _ _ (Ball [] 0)) by (auto using adding_rectangle, token_small).
  destruct right as (_ & _ & _ & _ & each). destruct (each p (at_ p) Hp (token_small p Hp)) as [_ holds].
  apply gain_ge; auto using shaped.
Qed.

(** Of what enters a neuron, times a sign. *)
Lemma neuron_gains : forall j (up : bool), (j < size_k w)%nat ->
  let gains := map (map (fun b => ((if up then 1 else -1) * nth (m + j) (centre b) 0 + radius b)%Z)) (adding one) in
  rectangle seen v gains /\ forall p, (p < seen)%nat ->
    (if up then 1 else -1) * value_of_head L H p (at_ p) (m + j) * pow2 bits <= IZR (as_table gains p (at_ p)).
Proof.
  intros j up J gains. split; [apply map2_rectangle, adding_rectangle|]. intros p Hp. unfold gains, as_table.
  rewrite (map2_at seen v _ _ _ _ (Ball [] 0)) by (auto using adding_rectangle, token_small).
  destruct right as (_ & _ & _ & _ & each). destruct (each p (at_ p) Hp (token_small p Hp)) as [_ (_ & _ & near)].
  specialize (near (m + j)%nat ltac:(lia)). apply Rabs_between in near. rewrite plus_IZR, mult_IZR. destruct up; lra.
Qed.
End Head.
End Region.
