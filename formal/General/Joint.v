(** rules.md, Lemmas 10 and 11: bounds on all heads together, and one table for all of them. *)

From Coq Require Import Reals ZArith List Lra Lia Arith Bool.
From Compact Require Import Spec.Model Spec.General Real.Sums Integer.Dyadic Integer.Matrix Integer.Tables Real.ScaledExp Count.Counting.
From Compact Require Import Regions.Inputs Regions.Groups Regions.Layers Regions.Building Regions.Listing Regions.Longest.
From Compact Require Import General.Heads General.Exponentials General.Balls General.Tables General.Means General.Relu General.Ends General.Problem General.InRegions.
Import ListNotations.
Open Scope R_scope.

(** Of a head in a region: its weights, and their sum at least and at most. *)
Record weighed := Weighed { its_ends : list (list (Z * Z)); its_least : Z; its_most : Z }.
Definition weighed_in (rg : region) (ends : list (list (Z * Z))) : weighed := Weighed ends (least_sum rg ends) (most_sum rg ends).

Definition add_tables (a b : list (list Z)) : list (list Z) := zip_with (zip_with Z.add) a b.

(** At the first position, of which every input has one. *)
Definition add_first (K : Z) (T : list (list Z)) : list (list Z) :=
  match T with row :: rest => map (Z.add K) row :: rest | [] => [] end.

Definition head_share (one : (list (list Z) * weighed) * Z) : list (list Z) :=
  let '((gains, e), mean) := one in map (map (share (its_least e) (its_most e))) (worst_terms mean gains (its_ends e)).

(** Of one head only the numerator counts. Of several, each is compared with a mean of its own. *)
Definition joint (seen v : nat) (K : Z) (gains : list (list (list Z))) (of_heads : list weighed) (means : list Z) : list (list Z) :=
  match gains, of_heads with
  | [one], [e] => worst_terms (- K) one (its_ends e)
  | _, _ => add_first (K + add_up means)
      (fold_right (fun one T => add_tables (head_share one) T) (repeat (repeat 0%Z v) seen) (combine (combine gains of_heads) means))
  end.

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
Notation flags := (flags_of w P rg).
Notation at_ p := (nth p x 0%nat).
Notation powers := (powers_at w P bits (query rg)).
Notation ends one := (ends_read flags (powers one)).

(** For each head a table, and what it bounds. *)
Variables (table_of : one_head_tables -> list (list Z)) (g : head -> nat -> nat -> R).
Hypothesis tables_bound : forall h one, head_right w bits r seen h one ->
  rectangle seen v (table_of one) /\
  forall p, (p < seen)%nat -> g (head_of_weights h) p (at_ p) * pow2 bits <= IZR (as_table (table_of one) p (at_ p)).
Notation mean h := (mean_of L x r (head_of_weights h) (g (head_of_weights h))).

Definition total_mean (hs : list head_weights) : R := fold_right (fun h rest => mean h * pow2 bits + rest) 0 hs.

Lemma total_mean_of_heads : sum_of_heads L (fun H => mean_of L x r H (g H)) * pow2 bits
  = total_mean (attn_heads w).
Proof.
  unfold sum_of_heads, total_mean. cbn [heads layer_of]. induction (attn_heads w) as [|h hs IH]; cbn [map fold_right]; [ring|]. rewrite <- IH. ring.
Qed.

Section Heads.
Variables (hs : list head_weights) (ones : list one_head_tables).
Hypothesis right : Forall2 (head_right w bits r seen) hs ones.
Hypothesis known : forallb (fun one => all_known flags (powers one)) ones = true.

(** All means are below their hints. *)
Lemma all_hinted : forall means, length means = length ones ->
  forallb (fun one : one_head_tables * Z => (longest (as_table (worst_terms (snd one) (table_of (fst one)) (ends (fst one)))) (layers rg) <=? 0)%Z)
    (combine ones means) = true ->
  total_mean hs <= IZR (add_up means).
Proof.
  induction right as [|h one hs' ones' R rest IH]; intros [|bound means] Len all; try discriminate; [cbn; lra|].
  cbn [combine forallb fst snd] in all. apply andb_prop in all. destruct all as [A B]. apply Z.leb_le in A.
  cbn [forallb] in known. apply andb_prop in known. destruct known as [K1 K2].
  cbn [total_mean fold_right add_up]. fold (total_mean hs'). rewrite plus_IZR. apply Rplus_le_compat.
  - destruct (tables_bound h one R) as [shape bound_]. now apply (mean_hinted w P bits groups rg x) with (one := one) (gains := table_of one).
  - apply (IH rest K2 means); [cbn in Len; lia | exact B].
Qed.

(** The shares of all heads. *)
Lemma all_shares : forall means, length means = length ones ->
  forallb (fun one => (0 <? least_sum rg (ends one))%Z) ones = true ->
  let T := fold_right (fun one T => add_tables (head_share one) T) (repeat (repeat 0%Z v) seen)
    (combine (combine (map table_of ones) (map (fun one => weighed_in rg (ends one)) ones)) means) in
  rectangle seen v T /\ total_mean hs - IZR (add_up means) <= sum seen (fun p => IZR (as_table T p (at_ p))).
Proof.
  induction right as [|h one hs' ones' R rest IH]; intros [|bound means] Len positive; try discriminate; cbv zeta.
  - cbn [map combine fold_right total_mean add_up]. assert (RZ : rectangle seen v (repeat (repeat 0%Z v) seen)).
    { split; [apply repeat_length|]. intros p Hp. rewrite (nth_indep _ [] (repeat 0%Z v)) by (rewrite repeat_length; exact Hp).
      rewrite nth_repeat. apply repeat_length. }
    split; [exact RZ|]. rewrite (sum_ext seen _ (fun _ => 0)); [rewrite sum_zero; simpl; lra|]. intros p Hp. unfold as_table, at2.
    rewrite (nth_indep _ [] (repeat 0%Z v)) by (rewrite repeat_length; exact Hp). now rewrite nth_repeat, nth_repeat.
  - cbn [forallb] in known, positive. apply andb_prop in known, positive. destruct known as [K1 K2], positive as [P1 P2]. apply Z.ltb_lt in P1.
    destruct (IH rest K2 means ltac:(cbn in Len; lia) P2) as [RT sum_].
    cbn [map combine fold_right]. set (T := fold_right _ _ _) in *.
    destruct (tables_bound h one R) as [shape bound_].
    destruct (shares_of_one w P bits groups rg x fits natural among input inside h one R K1 (table_of one) _ shape bound_ bound _ P1 eq_refl) as [RS share_].
    assert (RA : rectangle seen v (add_tables (head_share (table_of one, weighed_in rg (ends one), bound)) T)) by (apply zip2_rectangle; [exact RS | exact RT]).
    split; [exact RA|]. cbn [total_mean fold_right add_up]. fold (total_mean hs'). rewrite plus_IZR.
    rewrite (sum_ext seen _ (fun p => IZR (as_table (head_share (table_of one, weighed_in rg (ends one), bound)) p (at_ p)) + IZR (as_table T p (at_ p)))).
    + rewrite sum_plus. cbn [head_share weighed_in its_least its_most its_ends]. cbn [head_share weighed_in its_least its_most its_ends] in share_. lra.
    + intros p Hp. rewrite <- plus_IZR. f_equal. unfold as_table, add_tables.
      apply zip2_at with (r := seen) (c := v); auto. now apply (token_small w P x).
Qed.

Lemma add_first_sum : forall K T, rectangle seen v T -> rectangle seen v (add_first K T) /\
  sum seen (fun p => IZR (as_table (add_first K T) p (at_ p))) = IZR K + sum seen (fun p => IZR (as_table T p (at_ p))).
Proof.
  intros K T RT. pose proof (seen_fits w P fits) as [S _]. destruct RT as [LT RT]. 
  pose proof (token_small w P x fits input) as small.
  destruct T as [|row rest]; [simpl in LT; lia|]. cbn [add_first length] in *. split.
  - split; [exact LT|]. intros [|p] Hp; [cbn [nth]; rewrite map_length; apply (RT 0%nat Hp) | apply (RT (Datatypes.S p) Hp)].
  - replace seen with (Datatypes.S (seen - 1)) by lia. rewrite !sum_first. unfold as_table, at2. cbn [nth].
    rewrite (nth_map _ _ _ _ _ 0%Z 0%Z) by (pose proof (RT 0%nat ltac:(lia)) as E; cbn [nth] in E; rewrite E; apply small; lia).
    rewrite plus_IZR. ring.
Qed.

(** Lemma 11. *)
Theorem joint_reached : forall K means, length means = length ones ->
  (length ones = 1%nat \/ forallb (fun one => (0 <? least_sum rg (ends one))%Z) ones = true) ->
  0 <= IZR K + total_mean hs ->
  (0 <= along (as_table (joint seen v K (map table_of ones) (map (fun one => weighed_in rg (ends one)) ones) means)) 0 x)%Z.
Proof.
  intros K means Len enough reached. unfold joint.
  assert (Several : forallb (fun one => (0 <? least_sum rg (ends one))%Z) ones = true ->
    (0 <= along (as_table (add_first (K + add_up means) (fold_right (fun one T => add_tables (head_share one) T) (repeat (repeat 0%Z v) seen)
      (combine (combine (map table_of ones) (map (fun one => weighed_in rg (ends one)) ones)) means)))) 0 x)%Z).
  { intros positive. destruct (all_shares means Len positive) as [RT share_]. set (T := fold_right _ _ _) in *.
    destruct (add_first_sum (K + add_up means) T RT) as [RA E]. apply le_IZR.
    rewrite (along_table w P x) by assumption. rewrite E, plus_IZR. simpl (IZR 0). lra. }
  destruct right as [|h one hs' ones' R rest]; [cbn [map]; apply Several; reflexivity|].
  destruct ones' as [|one' ones']; cbn [map].
  - inversion rest; subst. cbn [forallb] in known. apply andb_prop in known. destruct known as [K1 _].
    destruct (tables_bound h one R) as [shape bound_].
    cbn [weighed_in its_ends]. apply (reaches_of_one w P bits groups rg x) with (h := h) (g := g (head_of_weights h)); auto.
    cbn [total_mean fold_right] in reached. rewrite Rplus_0_r in reached. exact reached.
  - destruct enough as [one_|positive]; [discriminate | exact (Several positive)].
Qed.
End Heads.

End Region.
