(** rules.md, Paths: the largest sum over positions that an input of a region has, found from the last position back. *)

From Coq Require Import ZArith List Lia Bool Permutation.
From Compact Require Import Count.Counting Count.Packed Regions.Inputs Regions.Groups Regions.Layers Regions.Building Regions.Listing.
Import ListNotations.
Open Scope Z_scope.

Definition greatest (l : list Z) : Z := match l with [] => 0 | x :: rest => fold_left Z.max rest x end.

Lemma greatest_ge : forall l x, In x l -> x <= greatest l.
Proof.
  intros [|first rest] x I; [destruct I|]. cbn [greatest].
  assert (G : forall l a, a <= fold_left Z.max l a /\ forall y, In y l -> y <= fold_left Z.max l a).
  { induction l as [|y l IH]; intros a; [split; [cbn; lia | easy]|]. cbn [fold_left]. destruct (IH (Z.max a y)) as [A B].
    split; [lia|]. intros z [<-|J]; [lia | now apply B]. }
  destruct (G rest first) as [A B]. destruct I as [<-|I]; auto.
Qed.

Section Longest.
Variable T : nat -> nat -> Z.  (** position, token *)

(** The sum over the positions from [p] on. *)
Fixpoint along (p : nat) (x : list nat) : Z :=
  match x with [] => 0 | t :: x' => T p t + along (S p) x' end.

(** For each state. *)
Fixpoint longest_from (p : nat) (ls : list layer) : list Z :=
  match ls with
  | [] => [0]
  | l :: rest =>
      let after := longest_from (S p) rest in
      let peaks := map (fun row => greatest (map (fun a => T p (fst a)) row)) (tokens l) in
      map (fun ms => greatest (map (fun m => nth (fst m) peaks 0 + nth (snd m) after 0) ms)) (moves l)
  end.

Lemma longest_from_right : forall ls p s a, In a (paths ls s) -> along p (map fst a) <= nth s (longest_from p ls) 0.
Proof.
  induction ls as [|l rest IH]; intros p s a I; cbn [paths] in I.
  - destruct s as [|s]; [|destruct I]. destruct I as [<-|[]]. cbn. lia.
  - rewrite in_flat_map in I. destruct I as (m & M & I). rewrite in_flat_map in I. destruct I as (b & B & I).
    rewrite in_map_iff in I. destruct I as (a' & <- & I). cbn [map along longest_from].
    rewrite nth_map_0 by reflexivity. set (peaks := map _ (tokens l)). set (best := fun m : nat * nat => _).
    transitivity (best m); [|now apply greatest_ge, in_map]. apply Z.add_le_mono; [|now apply IH].
    unfold peaks. rewrite nth_map_0 by reflexivity. apply greatest_ge, (in_map (fun a => T p (fst a))), B.
Qed.

Definition longest (ls : list layer) : Z := nth 0 (longest_from 0 ls) 0.

Variables (r : nat) (c : choices) (groups : list group).
Hypothesis r_small : (r < length c)%nat.

Theorem longest_upper : forall rg x, In rg (regions_of r c groups) -> In x (inputs c) -> member r rg x = true ->
  along 0 x <= longest (layers rg).
Proof.
  intros rg x R I M. destruct (regions_right r c groups rg R) as (_ & _ & B).
  destruct (proj2 (leading_members r c r_small (group_of rg) (query rg) (part rg) x) (conj I M)) as (a & L & <-).
  apply longest_from_right. apply Permutation_in with (1 := Permutation_sym B), L.
Qed.
End Longest.
