(** rules.md, branch_sequences: sequences decided in bundles, also those that are wrong. Exact ties are not decided. *)

From Coq Require Import Reals ZArith List Lia Arith Bool.
From Compact Require Import Spec.Model Integer.Tables Integer.Numerators Count.Counting Count.Walk Count.Pairs Facts.
Import ListNotations.
Open Scope Z_scope.

(** The pairs (q, m) that are asked for: the m-th number is a set of queries. *)
Definition chosen_pairs (v : nat) (queries : list Z) : list (nat * nat) :=
  flat_map (fun m => map (fun q => (q, m))
    (filter (fun q => Z.testbit (nth m queries 0) (Z.of_nat q)) (seq 0 (S m)))) (seq 0 v).

Definition sets_of_queries (v : nat) (queries : list Z) : bool :=
  Nat.eqb (length queries) v
  && forallb (fun m => (0 <=? nth m queries 0) && (nth m queries 0 <? Z.shiftl 2 (Z.of_nat m))) (seq 0 v).

Definition count_branch (N : numerators) (A : attention_ends) (k : nat) (q m : nat) (left : Z) : Z * Z * Z :=
  count_pair reach N k q m (ends_of_pair A q m) false (fun _ _ => ahead) left.

Definition branch_sequences (w : weights) (margin : fraction) (budget e bits : Z) (queries : list Z) : outcome fact :=
  let (v, k) := (vocabulary w, positions w) in
  require (0 <=? bits) out_of_range
  (require (sets_of_queries v queries) wrong_shape
  (let N := numerators_of w margin e bits in
   let A := attention_of w bits in
   let '(entries, unspent) := fold_left (fun (state : list entry_of_tally * Z) pair =>
     let (q, m) := pair : nat * nat in
     let found := count_branch N A k q m (snd state) in
     (entry_of_pair w q m (correct_of found) (wrong_of found) :: fst state, left_of found))
     (chosen_pairs v queries) ([], budget) in
   require (0 <=? unspent) over_budget (Fine (Tally (rev entries))))).

Lemma chosen_pairs_small : forall v queries q m, In (q, m) (chosen_pairs v queries) -> (q <= m)%nat /\ (m < v)%nat.
Proof.
  intros v queries q m I. unfold chosen_pairs in I. apply in_flat_map in I. destruct I as (m' & M & I).
  apply in_map_iff in I. destruct I as (q' & E & Q). inversion E; subst. apply filter_In in Q. destruct Q as [Q _].
  apply in_seq in M, Q. lia.
Qed.

Theorem branch_sequences_sound : forall w margin budget e bits queries f,
  well_formed w = true -> 0 < snd margin -> branch_sequences w margin budget e bits queries = Fine f ->
  holds (model_of w) (value_of margin) f.
Proof.
  intros w margin budget e bits queries f good positive E. unfold branch_sequences in E.
  apply require_fine in E. destruct E as [natural E]. apply Z.leb_le in natural.
  apply require_fine in E. destruct E as [_ E].
  pose proof (chosen_pairs_small (vocabulary w) queries) as small.
  set (step := fun (state : list entry_of_tally * Z) (pair : nat * nat) => _) in E.
  assert (all : forall pairs state, (forall q m, In (q, m) pairs -> (q <= m)%nat /\ (m < vocabulary w)%nat) ->
    Forall (entry_true (model_of w) (value_of margin)) (fst state) ->
    Forall (entry_true (model_of w) (value_of margin)) (fst (fold_left step pairs state))).
  { induction pairs as [|[q m] pairs IH]; intros state inside true; cbn [fold_left]; [assumption|].
    apply IH; [intros; apply inside; now right|]. destruct (inside q m (or_introl eq_refl)) as [Q M].
    unfold step. cbn [fst]. constructor; [|assumption].
    unfold entry_true. cbn [right missed entry_of_pair]. unfold count_branch. split.
    - now apply counted_correct; auto using reach_sound.
    - apply counted_wrong; auto. intros cs I holding A. now apply ahead_is_wrong in A. }
  specialize (all (chosen_pairs (vocabulary w) queries) ([], budget) small (Forall_nil _)).
  destruct (fold_left step _ _) as [entries unspent]. apply require_fine in E. destruct E as [_ E]. inversion E; subst.
  cbn [holds]. apply Forall_rev. exact all.
Qed.
