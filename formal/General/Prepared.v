(** What the rules about regions need of the layer, worked out once: balls of features, and what each query attends to. *)

From Coq Require Import Reals ZArith List Lra Lia Arith Bool.
From Compact Require Import Spec.Model Spec.General Integer.Dyadic Integer.Matrix Real.ScaledExp Facts.
From Compact Require Import Regions.Inputs Regions.Groups Regions.Layers Regions.Listing Regions.Labels.
From Compact Require Import General.Balls General.Tables General.Ends General.Problem General.InRegions General.Joint General.Statements.
Import ListNotations.
Open Scope Z_scope.

Section Program.
Variables (w : layer_weights) (P : problem) (bits : Z).
Notation r := (readout P).

(** What is needed of the layer, worked out once: by query, then by head, what each token weighs at each position. *)
Record prepared := Prepared { its_tables : layer_tables; its_neurons : matrix; its_powers : list (list (list (list (option power)))) }.

Definition prepare (groups : list group) : prepared :=
  let tables := tables_of_layer w bits r (seen_positions w P) in
  Prepared tables (neuron_table w) (map (fun q => if existsb (fun g => asks g q) groups then map (powers_of (scaled tables) r q) (of_heads tables) else [])
    (seq 0 (size_v w))).

(** The weights of the heads in a region, if all are known. *)
Definition weights_in (ready : prepared) (rg : region) : outcome (list weighed) :=
  let flags := flags_of w P rg in
  let powers := nth (query rg) (its_powers ready) [] in
  require (forallb (all_known flags) powers) too_coarse (Fine (map (fun one => weighed_in rg (ends_read flags one)) powers)).

End Program.

Section Sound.
Variables (w : layer_weights) (P : problem) (bits : Z) (groups : list group).
Hypothesis fits : problem_fits w P = true.
Hypothesis natural : 0 <= bits.
Hypothesis right : Forall (fun g => group_right w P g = true) groups.
Notation m := (size_m w).
Notation r := (readout P).
Notation ready := (prepare w P bits groups).
Notation all_regions := (regions_of r (allowed P) groups).

Lemma group_among : forall rg, In rg all_regions -> In (group_of rg) groups /\ asks (group_of rg) (query rg) = true /\ group_right w P (group_of rg) = true.
Proof.
  intros rg I. destruct (regions_right r (allowed P) groups rg I) as (N & Q & _). apply nth_error_In in N. split; [exact N|].
  unfold queries_of in Q. apply filter_In in Q. split; [apply Q|]. rewrite Forall_forall in right. now apply right.
Qed.

Lemma label_small : forall rg, In rg all_regions -> (Groups.label_of (group_of rg) < m)%nat.
Proof.
  intros rg I. destruct (group_among rg I) as (_ & _ & V). unfold group_right, valid in V. rewrite !andb_true_iff in V.
  destruct V as [[[[_ V] _] _] _]. now apply Nat.ltb_lt.
Qed.

Lemma powers_ready : forall rg x, In rg all_regions -> In x (inputs (allowed P)) -> member r rg x = true ->
  nth (query rg) (its_powers ready) [] = map (powers_at w P bits (query rg)) (of_heads (its_tables ready)).
Proof.
  intros rg x I input inside. destruct (group_among rg I) as (G & A & _). pose proof (query_small w P rg x fits input inside) as small.
  unfold prepare. cbn [its_powers its_tables]. rewrite (Matrix.nth_map _ _ _ _ _ 0%nat []) by (rewrite seq_length; exact small).
  rewrite seq_nth by exact small. cbn [Nat.add]. replace (existsb _ groups) with true; [reflexivity|].
  symmetry. apply existsb_exists. now exists (group_of rg).
Qed.

Lemma weights_ready : forall rg x weights, In rg all_regions -> In x (inputs (allowed P)) -> member r rg x = true ->
  weights_in w P ready rg = Fine weights ->
  forallb (fun one => all_known (flags_of w P rg) (powers_at w P bits (query rg) one)) (of_heads (its_tables ready)) = true /\
  weights = map (fun one => weighed_in rg (ends_read (flags_of w P rg) (powers_at w P bits (query rg) one))) (of_heads (its_tables ready)).
Proof.
  intros rg x weights I input inside E. unfold weights_in in E. rewrite (powers_ready rg x) in E by assumption.
  apply require_fine in E. destruct E as [K E]. apply fine_eq in E. rewrite map_map in E. split; [|now symmetry].
  rewrite forallb_forall in *. intros one J. apply K. now apply in_map.
Qed.

Lemma heads_ready : Forall2 (head_right w bits r (seen_positions w P)) (attn_heads w) (of_heads (its_tables ready)).
Proof.
  apply heads_right; auto; [now apply (fits_parts w P) | apply (seen_fits w P fits) | now apply positions_exist].
Qed.

End Sound.
