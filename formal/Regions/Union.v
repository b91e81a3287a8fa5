(** rules.md, region_counts: what all groups of a label and query leave, whatever inputs they have in common. *)

From Coq Require Import ZArith List Lia Bool Arith.
From Compact Require Import Count.Counting Count.Packed Regions.Inputs Regions.Groups Regions.Listing Regions.Weight.
Import ListNotations.
Open Scope Z_scope.

Section Disjoint.
Variable c : choices.
Context {A : Type} (holds : A -> list nat -> bool).

(** Sets that have no input in common weigh as much as their union. *)
Lemma weigh_union : forall l, NoDup l ->
  (forall a b x, In a l -> In b l -> In x (inputs c) -> holds a x = true -> holds b x = true -> a = b) ->
  weigh (fun x => existsb (fun a => holds a x) l) c = add_up (map (fun a => weigh (holds a) c) l).
Proof.
  induction l as [|a l IH]; intros U apart; cbn [existsb map add_up]; [now apply weigh_none|].
  inversion U as [|? ? U1 U2]; subst.
  rewrite weigh_disjoint, IH; [reflexivity | assumption | intros b b' x B B'; apply apart; now right |].
  intros x I H. apply not_true_is_false. intros E. apply existsb_exists in E. destruct E as (b & B & E).
  apply U1. rewrite (apart a b x); auto; [now left | now right].
Qed.
End Disjoint.

Section Regions.
Variables (r : nat) (c : choices) (groups : list group).
Hypothesis r_small : (r < length c)%nat.
Hypothesis tokens_distinct : distinct c.
Hypothesis weights_positive : positive c.

(** The regions of a group with a query. *)
Definition of_pair (n q : nat) (rg : region) : bool := Nat.eqb (number rg) n && Nat.eqb (query rg) q.
Definition regions_with (n q : nat) : list region := filter (of_pair n q) (regions_of r c groups).

Variable lost : region -> list nat -> bool.
Variable counted : region -> Z.

Definition keeps (rg : region) (x : list nat) : bool := member r rg x && negb (lost rg x).

(** A part of the group holds the input and does not lose it. *)
Definition kept (n q : nat) (x : list nat) : bool := existsb (fun rg => keeps rg x) (regions_with n q).

Definition left_of (n q : nat) : Z :=
  add_up (map (fun rg => Z.max (weight_of (layers rg) - counted rg) 0) (regions_with n q)).

Theorem left_right : forall n q,
  (forall rg, In rg (regions_with n q) -> weigh (fun x => member r rg x && lost rg x) c <= counted rg) ->
  left_of n q <= weigh (kept n q) c.
Proof.
  intros n q bound. unfold kept. rewrite weigh_union.
  - unfold left_of. apply add_up_le. intros rg I. specialize (bound rg I). apply filter_In in I. destruct I as [I _].
    rewrite (weight_of_region r c groups) by assumption. rewrite (weigh_split c (member r rg) (lost rg)).
    change (fun x => member r rg x && negb (lost rg x)) with (keeps rg). pose proof (weigh_nonneg c (keeps rg) weights_positive). lia.
  - pose proof (regions_NoDup r c groups r_small tokens_distinct) as U. apply NoDup_filter. revert U. apply NoDup_map_inv.
  - intros rg rg' x I I' _ H H'. unfold regions_with in *. apply filter_In in I, I'. destruct I as [I P], I' as [I' P'].
    unfold of_pair in *. rewrite andb_true_iff, !Nat.eqb_eq in *. destruct P as [N Q], P' as [N' Q'].
    unfold keeps, member in *. apply andb_prop in H, H'. destruct H as [H _], H' as [H' _].
    destruct (regions_right r c groups rg I) as (G & _). destruct (regions_right r c groups rg' I') as (G' & _).
    assert (E : group_of rg' = group_of rg) by congruence. rewrite E in H'.
    destruct (regions_apart _ _ _ _ _ _ _ H H') as [_ S].
    pose proof (regions_NoDup r c groups r_small tokens_distinct) as U.
    assert (K : key rg = key rg') by (unfold key; congruence). clear - U I I' K.
    induction (regions_of r c groups) as [|a l IH]; [destruct I|]. cbn [map] in U. inversion U as [|? ? U1 U2]; subst.
    destruct I as [->|I], I' as [->|I']; [reflexivity | | | now apply IH].
    + exfalso. apply U1. rewrite K. now apply in_map.
    + exfalso. apply U1. rewrite <- K. now apply in_map.
Qed.

(** Of all inputs in question each group keeps some. *)
Theorem all_keep : forall (all : list nat -> bool) (q : nat) (ns : list nat),
  (forall n x, In n ns -> In x (inputs c) -> kept n q x = true -> all x = true) ->
  (forall n rg, In n ns -> In rg (regions_with n q) -> weigh (fun x => member r rg x && lost rg x) c <= counted rg) ->
  weigh all c - add_up (map (fun n => weigh all c - left_of n q) ns)
    <= weigh (fun x => all x && forallb (fun n => kept n q x) ns) c.
Proof.
  intros all q. induction ns as [|n ns IH]; intros within bound; cbn [map add_up forallb].
  - rewrite Z.sub_0_r. apply weigh_le; [assumption|]. intros x _ A. now rewrite A.
  - specialize (IH ltac:(intros; apply (within n0); auto; now right) ltac:(intros; apply (bound n0); auto; now right)).
    pose proof (left_right n q (fun rg => bound n rg ltac:(now left))) as L.
    rewrite (weigh_split c (fun x => all x && forallb (fun n => kept n q x) ns) (kept n q)) in IH.
    rewrite (weigh_ext c (fun x => all x && (kept n q x && _)) (fun x => all x && forallb (fun n => kept n q x) ns && kept n q x))
      by (intros x _; destruct (all x), (kept n q x), (forallb _ ns); reflexivity).
    assert (M : weigh (fun x => all x && forallb (fun n => kept n q x) ns && negb (kept n q x)) c + left_of n q <= weigh all c).
    { rewrite (weigh_split c all (kept n q)).
      assert (weigh (kept n q) c = weigh (fun x => all x && kept n q x) c).
      { apply weigh_ext. intros x I. destruct (kept n q x) eqn:K; [|now rewrite andb_false_r].
        now rewrite (within n x ltac:(now left) I K). }
      assert (weigh (fun x => all x && forallb (fun n => kept n q x) ns && negb (kept n q x)) c
        <= weigh (fun x => all x && negb (kept n q x)) c).
      { apply weigh_le; [assumption|]. intros x _. destruct (all x), (forallb _ ns), (kept n q x); cbn; congruence. }
      lia. }
    lia.
Qed.
End Regions.
