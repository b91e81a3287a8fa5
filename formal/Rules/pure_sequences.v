(** rules.md, pure_sequences: the one sequence m, ..., m, q of each pair. *)

From Coq Require Import Reals ZArith List Lia Arith Bool.
From Compact Require Import Spec.Model Integer.Tables Integer.Numerators Count.Counting Count.Walk Count.Pairs Facts.
From Compact Require Import Rules.enumerate_sequences.
Import ListNotations.
Open Scope Z_scope.

Definition pure_choices (N : numerators) (k q m : nat) (ends : list (Z * Z) * list (Z * Z)) : list choice :=
  map (fun p => choice_at lane N q m ends true p m) (seq 0 (k - 1)).

Definition pure_correct (N : numerators) (k q m : nat) (ends : list (Z * Z) * list (Z * Z)) : bool :=
  let totals := Walk.total (terms (last_choice lane N k q m ends true)) (pure_choices N k q m ends) in
  negative (select (rivals 0 m totals) totals).

Definition pure_sequences (w : weights) (margin : fraction) (e bits : Z) : outcome fact :=
  let (v, k) := (vocabulary w, positions w) in
  require (0 <=? bits) out_of_range
  (let N := numerators_of w margin e bits in
   let A := attention_of w bits in
   Fine (Tally (flat_map (fun m => map (fun q =>
     Entry (Z.of_nat m) (Z.shiftl 1 (Z.of_nat q)) 1 (if pure_correct N k q m (ends_of_pair A q m) then 1 else 0) 0)
     (queries_of k m)) (seq 0 v)))).

Lemma pure_member : forall N k q m ends,
  In (pure_choices N k q m ends) (product (rows_of_pair lane N k q m ends true)).
Proof.
  intros. apply in_product. unfold pure_choices, rows_of_pair.
  induction (seq 0 (k - 1)) as [|p l IH]; constructor; [|exact IH].
  apply in_map, in_seq. lia.
Qed.

Theorem pure_sequences_sound : forall w margin e bits f,
  well_formed w = true -> 0 < snd margin -> pure_sequences w margin e bits = Fine f ->
  holds (model_of w) (value_of margin) f.
Proof.
  intros w margin e bits f good positive E. unfold pure_sequences in E.
  apply require_fine in E. destruct E as [natural E]. apply Z.leb_le in natural. inversion E; subst. clear E.
  cbn [holds]. apply Forall_forall. intros entry I.
  apply in_flat_map in I. destruct I as (m & M & I). apply in_map_iff in I. destruct I as (q & <- & Q). apply in_seq in M.
  set (N := numerators_of w margin e bits). set (ends := ends_of_pair (attention_of w bits) q m).
  set (k := positions w) in *.
  split; [|apply at_least_0; reflexivity]. cbn [right].
  destruct (pure_correct N k q m ends) eqn:T; [|apply at_least_0; lia].
  assert (q_le_m : (q <= m)%nat) by (unfold queries_of in Q; destruct (Nat.eqb k 1); [destruct Q as [->|[]]; lia | apply in_seq in Q; lia]).
  assert (K : (0 < k)%nat) by apply (k_pos w good).
  set (cs := pure_choices N k q m ends) in *.
  pose proof (pure_member N k q m ends) as J. fold cs in J.
  assert (tokens : map token cs = repeat m (k - 1)).
  { unfold cs, pure_choices. rewrite map_map. rewrite (map_ext _ (fun _ => m)) by reflexivity.
    assert (constant : forall n a, map (fun _ : nat => m) (seq a n) = repeat m n)
      by (induction n as [|n IH]; intros a; cbn [seq map repeat]; [reflexivity | now rewrite IH]).
    apply constant. }
  assert (holding : (Nat.eqb q m || existsb (is_m m) cs) = true).
  { apply orb_true_iff. unfold queries_of in Q. destruct (Nat.eqb k 1) eqn:one.
    - left. destruct Q as [->|[]]. apply Nat.eqb_refl.
    - right. apply Nat.eqb_neq in one. apply existsb_exists.
      exists (choice_at lane N q m ends true 0 m). split; [|apply Nat.eqb_refl].
      unfold cs, pure_choices. apply (in_map (fun p => choice_at lane N q m ends true p m)), in_seq. lia. }
  exists [map token cs ++ [q]]. split; [constructor; [easy | constructor]|]. split; [|simpl; lia].
  constructor; [|constructor].
  destruct (sequence_of_pair w margin e bits lane good q m q_le_m ltac:(apply M) true cs J holding) as (S & lab & que & len).
  split.
  - apply (negative_totals_are_correct w margin e bits lane good positive natural lane_sound q m q_le_m ltac:(apply M) true cs J holding).
    intros y Y other. unfold pure_correct in T. fold cs in T.
    apply (rivals_negative m _ _ 0 y) with (2 := T); [apply below_refl| |lia].
    rewrite (total_length (vocabulary w)); [exact Y | |].
    + apply (length_last w margin e bits lane good q m q_le_m ltac:(apply M) true).
    + apply (members_uniform w margin e bits lane good q m q_le_m ltac:(apply M) true cs J).
  - unfold in_region. cbn [of_label queries ns]. rewrite lab, que. repeat split.
    + rewrite Z.shiftl_spec by lia. now rewrite Z.sub_diag.
    + assert (none : others (model_of w) (map token cs ++ [q]) = 0%nat).
      { unfold others. rewrite lab, firstn_app, len, Nat.sub_diag, firstn_all2 by (rewrite len; lia).
        rewrite firstn_O, app_nil_r, tokens.
        assert (nobody : forall n, filter (fun token => negb (Nat.eqb token m)) (repeat m n) = [])
          by (induction n as [|n IH]; [reflexivity | cbn [repeat filter]; now rewrite Nat.eqb_refl]).
        now rewrite nobody. }
      now rewrite none.
Qed.
