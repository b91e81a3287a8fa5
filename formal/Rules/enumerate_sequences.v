(** rules.md, enumerate_sequences: every sequence evaluated. *)

From Coq Require Import Reals ZArith List Lia Arith Bool.
From Compact Require Import Spec.Model Integer.Tables Integer.Numerators Count.Counting Count.Walk Count.Pairs Facts.
Import ListNotations.
Open Scope Z_scope.

(** The queries that occur with the maximum [m]: with one position only [m] itself. *)
Definition queries_of (k m : nat) : list nat := if Nat.eqb k 1 then [m] else seq 0 (S m).

(** More steps than a tree of all sequences has. *)
Definition enough (v k : nat) : Z := 2 * Z.pow (Z.of_nat v) (Z.of_nat k) + Z.of_nat k.

Definition enumerate_sequences (w : weights) (margin : fraction) (budget e bits : Z) : outcome fact :=
  let (v, k) := (vocabulary w, positions w) in
  require (0 <=? bits) out_of_range
  (require (Z.pow (Z.of_nat v) (Z.of_nat k) <=? budget) over_budget
  (let N := numerators_of w margin e bits in
   let A := attention_of w bits in
   Fine (Tally (flat_map (fun m => map (fun q =>
     let found := count_pair lane N k q m (ends_of_pair A q m) true (fun _ _ _ _ => false) (enough v k) in
     entry_of_pair w q m (correct_of found) 0) (queries_of k m)) (seq 0 v))))).

Theorem enumerate_sequences_sound : forall w margin budget e bits f,
  well_formed w = true -> 0 < snd margin -> enumerate_sequences w margin budget e bits = Fine f ->
  holds (model_of w) (value_of margin) f.
Proof.
  intros w margin budget e bits f good positive E. unfold enumerate_sequences in E.
  apply require_fine in E. destruct E as [natural E]. apply Z.leb_le in natural.
  apply require_fine in E. destruct E as [_ E]. inversion E; subst. clear E.
  cbn [holds]. apply Forall_forall. intros entry I.
  apply in_flat_map in I. destruct I as (m & M & I). apply in_map_iff in I. destruct I as (q & <- & Q).
  apply in_seq in M.
  assert (q <= m)%nat by (unfold queries_of in Q; destruct (Nat.eqb _ 1); [destruct Q as [->|[]]; lia | apply in_seq in Q; lia]).
  split.
  - cbn [right entry_of_pair]. apply counted_correct; auto using lane_sound. apply M.
  - apply at_least_0. reflexivity.
Qed.
