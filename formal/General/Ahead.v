(** rules.md, "Heads add up", in integers: what enters a neuron, and how far an output is ahead. *)

From Coq Require Import Reals ZArith List Lra Lia Arith Bool.
From Compact Require Import Spec.Model Spec.General Real.Sums Integer.Dyadic Integer.Matrix Integer.Tables Real.ScaledExp Count.Counting.
From Compact Require Import Regions.Inputs Regions.Groups Regions.Layers Regions.Building Regions.Listing Regions.Longest.
From Compact Require Import General.Heads General.Exponentials General.Balls General.Tables General.Means General.Relu General.Ends.
From Compact Require Import General.Problem General.InRegions General.Joint.
Import ListNotations.
Open Scope R_scope.

(** Of the positions of a head, at least the feature of a neuron times the sign. *)
Definition neuron_gains_of (m j : nat) (up : bool) (one : one_head_tables) : list (list Z) :=
  map (map (fun b => ((if up then 1 else -1) * nth (m + j) (centre b) 0 + radius b)%Z)) (adding one).

(** All that a neuron's hints have to prove: bounds from below by head, then from above. *)
Definition neuron_hinted (rg : region) (m j : nat) (ones : list one_head_tables) (ends : list (list (list (Z * Z)))) (lows highs : list Z) : bool :=
  let below (up : bool) (bounds : list Z) :=
    forallb (fun one : (one_head_tables * list (list (Z * Z))) * Z => let '((tables, ends), bound) := one in
      (longest (as_table (worst_terms bound (neuron_gains_of m j up tables) ends)) (layers rg) <=? 0)%Z) (combine (combine ones ends) bounds) in
  Nat.eqb (length lows) (length ones) && Nat.eqb (length highs) (length ones) && below true highs && below false (map Z.opp lows).

Lemma add_up_opp : forall l, add_up (map Z.opp l) = (- add_up l)%Z.
Proof. induction l as [|x l IH]; cbn [map add_up]; lia. Qed.

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
Notation k := (size_k w).
Notation r := (readout P).
Notation seen := (seen_positions w P).
Notation flags := (flags_of w P rg).
Notation at_ p := (nth p x 0%nat).
Notation powers := (powers_at w P bits (query rg)).
Notation ends one := (ends_read flags (powers one)).
Notation T := (tables_of_layer w bits r seen).
Notation own := (nth (query rg) (passing T) (Ball [] 0)).

Lemma direct_inside : holds_vector bits own (m + k) (direct L r (at_ r)).
Proof.
  rewrite (query_of_input P rg x inside). apply direct_holds; auto; [now apply (fits_parts w P) | apply (seen_fits w P fits) | now apply positions_exist |].
  now apply (query_small w P rg x).
Qed.

Lemma heads_there : Forall2 (head_right w bits r seen) (attn_heads w) (of_heads T).
Proof. apply heads_right; auto; [now apply (fits_parts w P) | apply (seen_fits w P fits) | now apply positions_exist]. Qed.

Hypothesis known : forallb (fun one => all_known flags (powers one)) (of_heads T) = true.

(** What enters a neuron. *)
Theorem neuron_in_range : forall j lows highs, (j < k)%nat ->
  neuron_hinted rg m j (of_heads T) (map (fun one => ends one) (of_heads T)) lows highs = true ->
  IZR (nth (m + j) (centre own) 0%Z - radius own + add_up lows) <= entering_neuron L x r j * pow2 bits
    <= IZR (nth (m + j) (centre own) 0%Z + radius own + add_up highs).
Proof.
  intros j lows highs J E. unfold neuron_hinted in E. rewrite !andb_true_iff, !Nat.eqb_eq in E. destruct E as [[[Ll Lh] up] down].
  assert (both : forall (b : bool) bounds, length bounds = length (of_heads T) ->
    forallb (fun one : (one_head_tables * list (list (Z * Z))) * Z => let '((tables, ends), bound) := one in
      (longest (as_table (worst_terms bound (neuron_gains_of m j b tables) ends)) (layers rg) <=? 0)%Z)
      (combine (combine (of_heads T) (map (fun one => ends one) (of_heads T))) bounds) = true ->
    (if b then 1 else -1) * sum_of_heads L (fun H => mean_of L x r H (fun p t => value_of_head L H p t (m + j))) * pow2 bits <= IZR (add_up bounds)).
  { intros b bounds Len all.
    pose proof (all_hinted w P bits groups rg x fits natural among input inside (neuron_gains_of m j b) (fun H p t => (if b then 1 else -1) * value_of_head L H p t (m + j))) as G.
    specialize (G ltac:(intros h one R; exact (neuron_gains w P bits x fits input h one R j b J)) (attn_heads w) (of_heads T) heads_there known bounds Len).
    apply Rle_trans with (2 := G ltac:(
      rewrite forallb_forall in all |- *; intros [one bound] I; cbn [fst snd]; refine (all ((one, ends one), bound) _);
      clear - I; revert bounds I; induction (of_heads T) as [|o os IH]; intros [|a bounds] I; cbn in *; try contradiction;
      destruct I as [I|I]; [left; now inversion I | right; now apply IH])).
    right. rewrite <- (total_mean_of_heads w P bits x). 
    f_equal. rewrite (heads_ext L (fun H => mean_of L x r H (fun p t => (if b then 1 else -1) * value_of_head L H p t (m + j))) (fun H => (if b then 1 else -1) * mean_of L x r H (fun p t => value_of_head L H p t (m + j))))
      by (intros; apply mean_scale).
    unfold sum_of_heads. induction (heads L) as [|H all' IH]; cbn [fold_right]; [ring|]. rewrite <- IH. ring. }
  pose proof (both true highs Lh up) as U. pose proof (both false (map Z.opp lows) ltac:(now rewrite map_length) down) as D.
  rewrite add_up_opp, opp_IZR in D. destruct direct_inside as (_ & _ & near). specialize (near (m + j)%nat ltac:(lia)). apply Rabs_between in near.
  unfold entering_neuron. change (outputs L) with m. rewrite !plus_IZR, minus_IZR. cbv iota in U, D. split; lra.
Qed.

Section Class.
Variables (c : nat) (ys : list nat) (y : nat) (slopes ranges : list Z).
Hypothesis c_small : (c < m)%nat.
Hypothesis y_small : (y < m)%nat.
Hypothesis y_in : In y ys.
Hypothesis slopes_length : length slopes = k.
Hypothesis ranges_length : length ranges = (2 * k)%nat.
Hypothesis in_ranges : forall j, (j < k)%nat ->
  IZR (nth (2 * j) ranges 0%Z) <= entering_neuron L x r j * pow2 bits <= IZR (nth (2 * j + 1) ranges 0%Z).

(** With lines in the place of neurons. *)
Definition bent_value (H : head) (p t : nat) : R := bent L (fun j => IZR (nth j slopes 0%Z) * pow2 (- bits)) y c (value_of_head L H p t).
Definition class_table : one_head_tables -> list (list Z) :=
  gains_of bits (exponent (neuron_table w)) m c (lines_of (neuron_table w) c ys slopes).

Lemma class_bound : forall h one, head_right w bits r seen h one -> rectangle seen v (class_table one) /\
  forall p, (p < seen)%nat -> bent_value (head_of_weights h) p (at_ p) * pow2 bits <= IZR (as_table (class_table one) p (at_ p)).
Proof. intros h one R. exact (class_gains w P bits x fits input h one R c y ys slopes c_small y_small y_in slopes_length). Qed.

(** Lemma 10, in units. *)
Theorem ahead_in_units : forall margin, (0 < snd margin)%Z ->
  (logit_at L x r y - logit_at L x r c + value_of margin) * pow2 bits
  <= IZR (constant_of w bits margin (neuron_table w) c ys slopes ranges own) + total_mean w P bits x bent_value (attn_heads w).
Proof.
  intros margin positive. pose proof (proj1 (fits_parts w P fits)) as shaped_.
  pose proof (ahead_by_heads L x r (seen_some w P x fits input) (value_of margin) y c (fun j => IZR (nth j slopes 0%Z) * pow2 (- bits))
    (fun j => IZR (intercept bits (nth (2 * j) ranges 0%Z) (nth (2 * j + 1) ranges 0%Z) (nth j slopes 0%Z) (Z.leb 0 (nth j (favours (neuron_table w) c y) 0%Z))) * pow2 (- bits))
    y_small c_small) as A.
  rewrite (neuron_count_k w) in A.
  specialize (A ltac:(intros j J; apply (lines_right w bits shaped_ c y c_small y_small slopes ranges j (entering_neuron L x r j) J); now apply in_ranges)).
  pose proof (pow2_pos bits) as Pb.
  apply Rle_trans with (1 := Rmult_le_compat_r (pow2 bits) _ _ (Rlt_le _ _ Pb) A). rewrite Rmult_plus_distr_r.
  apply Rplus_le_compat.
  - apply (constant_ge w bits shaped_ c y c_small y_small slopes slopes_length ranges ranges_length margin ys own _ positive direct_inside y_in).
  - right. rewrite <- (total_mean_of_heads w P bits x). reflexivity.
Qed.
End Class.
End Region.
