(** rules.md, branch_sequences: sequences decided in bundles, also those that are wrong. *)

From Coq Require Import Reals ZArith List Lia Arith Bool.
From Compact Require Import Spec.Model Integer.Tables Integer.Numerators Count.Counting Count.Walk Count.Pairs Count.Ties Facts.
From Compact Require Import Real.Separation Real.ScaledExp.
Import ListNotations.
Open Scope Z_scope.

(** The pairs (q, m) that are asked for: the m-th number is a set of queries. *)
Definition chosen_pairs (v : nat) (queries : list Z) : list (nat * nat) :=
  flat_map (fun m => map (fun q => (q, m))
    (filter (fun q => Z.testbit (nth m queries 0) (Z.of_nat q)) (seq 0 (S m)))) (seq 0 v).

Definition sets_of_queries (v : nat) (queries : list Z) : bool :=
  Nat.eqb (length queries) v
  && forallb (fun m => (0 <=? nth m queries 0) && (nth m queries 0 <? Z.shiftl 2 (Z.of_nat m))) (seq 0 v).

(** The outputs that a mask stands for. *)
Definition names (mask : list bool) : list nat := map fst (filter snd (combine (seq 0 (length mask)) mask)).

(** A rival that is not proved to be behind is exactly level; [before] has the tokens before the query, backwards. *)
Definition level_with (x : exact) (margin : fraction) (v q m : nat) (mask : list bool) (before : list nat) (totals : list Z)
  : bool :=
  existsb (fun one : nat * Z => let (y, total) := one in
    (0 <=? total) && negb (Nat.eqb y m) && Nat.ltb y v && tied x margin q m y (rev before ++ [q]))
    (combine (names mask) totals).

Definition count_branch (N : numerators) (A : attention_ends) (x : exact) (margin : fraction) (v k q m : nat) (left : Z)
  : Z * Z * Z :=
  count_pair reach N k q m (ends_of_pair A q m) false
    (fun mask before totals doubts => ahead totals doubts || level_with x margin v q m mask before totals) left.

Definition branch_sequences (w : weights) (margin : fraction) (budget e bits : Z) (queries : list Z) : outcome fact :=
  let (v, k) := (vocabulary w, positions w) in
  require (0 <=? bits) out_of_range
  (require (sets_of_queries v queries) wrong_shape
  (let N := numerators_of w margin e bits in
   let A := attention_of w bits in
   let x := exact_of w in
   let '(entries, unspent) := fold_left (fun (state : list entry_of_tally * Z) pair =>
     let (q, m) := pair : nat * nat in
     let found := count_branch N A x margin v k q m (snd state) in
     (entry_of_pair w q m (correct_of found) (wrong_of found) :: fst state, left_of found))
     (chosen_pairs v queries) ([], budget) in
   require (0 <=? unspent) over_budget (Fine (Tally (rev entries))))).

Lemma chosen_pairs_small : forall v queries q m, In (q, m) (chosen_pairs v queries) -> (q <= m)%nat /\ (m < v)%nat.
Proof.
  intros v queries q m I. unfold chosen_pairs in I. apply in_flat_map in I. destruct I as (m' & M & I).
  apply in_map_iff in I. destruct I as (q' & E & Q). inversion E; subst. apply filter_In in Q. destruct Q as [Q _].
  apply in_seq in M, Q. lia.
Qed.

Lemma level_is_wrong : forall w margin q m mask before totals t,
  let M := model_of w in
  well_formed w = true -> 0 < snd margin -> is_sequence M t -> (m < d_vocab M)%nat ->
  label t = m -> query M t = q -> t = rev before ++ [q] ->
  level_with (exact_of w) margin (vocabulary w) q m mask before totals = true -> ~ correct M (value_of margin) t.
Proof.
  intros w margin q m mask before totals t M good positive S small lab que E T [_ all].
  apply existsb_exists in T. destruct T as ([y total] & _ & T). rewrite !andb_true_iff in T.
  destruct T as [[[_ other] Y] T]. apply negb_true_iff, Nat.eqb_neq in other. apply Nat.ltb_lt in Y.
  rewrite <- E, <- que in T. unfold query in T.
  pose proof (tied_sound w margin m y t good positive S small Y T) as zero.
  specialize (all y Y ltac:(now rewrite lab)). rewrite lab in all.
  apply separation in all; [|apply (k_pos w good)]. fold M in zero. rewrite zero in all. now apply Rlt_irrefl in all.
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
    - apply counted_wrong; auto. intros cs I holding A. apply orb_prop in A. destruct A as [A|A].
      + now apply ahead_is_wrong in A.
      + destruct (sequence_of_pair w margin e bits reach good q m Q M false cs I holding) as (S & lab & que & _).
        apply level_is_wrong with (8 := A); auto. now rewrite rev_involutive. }
  specialize (all (chosen_pairs (vocabulary w) queries) ([], budget) small (Forall_nil _)).
  destruct (fold_left step _ _) as [entries unspent]. apply require_fine in E. destruct E as [_ E]. inversion E; subst.
  cbn [holds]. apply Forall_rev. exact all.
Qed.
