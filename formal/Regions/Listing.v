(** All regions of some groups that have an input: by group, then query, then part. *)

From Coq Require Import ZArith List Lia Bool Arith Permutation Sorted.
From Compact Require Import Count.Counting Count.Packed Regions.Inputs Regions.Groups Regions.Layers Regions.Building.
Import ListNotations.
Open Scope nat_scope.

(** [number] is that of its group. *)
Record region := Region { number : nat; group_of : group; query : nat; part : nat; layers : list layer }.

(** ** The parts of a group, each once, from the smallest on *)

Fixpoint put_in (n : nat) (l : list nat) : list nat :=
  match l with
  | [] => [n]
  | m :: rest => if Nat.eqb n m then l else if Nat.ltb n m then n :: l else m :: put_in n rest
  end.

Definition parts_of (g : group) : list nat :=
  fold_right (fun o l => match o with Some n => put_in n l | None => l end) [] (parts g).

Lemma in_put_in : forall x n l, In x (put_in n l) <-> x = n \/ In x l.
Proof.
  intros x n. induction l as [|m l IH]; cbn [put_in]; [cbn; intuition congruence|].
  destruct (Nat.eqb_spec n m) as [->|_]; [cbn [In]; intuition congruence|].
  destruct (Nat.ltb n m); cbn [In]; [intuition congruence|]. rewrite IH. tauto.
Qed.

Lemma put_in_sorted : forall n l, StronglySorted lt l -> StronglySorted lt (put_in n l).
Proof.
  intros n. induction l as [|m l IH]; intros S; cbn [put_in]; [repeat constructor|].
  inversion S as [|? ? S1 S2]; subst. destruct (Nat.eqb_spec n m) as [_|N]; [assumption|].
  destruct (Nat.ltb_spec n m) as [L|L]; constructor.
  - assumption.
  - constructor; [assumption|]. revert S2. apply Forall_impl. intros. lia.
  - auto.
  - rewrite Forall_forall in *. intros x I. apply in_put_in in I. destruct I as [->|I]; [lia | now apply S2].
Qed.

Lemma sorted_NoDup : forall l, StronglySorted lt l -> NoDup l.
Proof.
  induction 1 as [|x l _ IH A]; constructor; [|assumption]. intros I. rewrite Forall_forall in A. specialize (A x I). lia.
Qed.

Lemma in_parts_of : forall g p, In p (parts_of g) <-> In (Some p) (parts g).
Proof.
  intros g p. unfold parts_of. induction (parts g) as [|[n|] l IH]; cbn [fold_right In]; [reflexivity| |]; rewrite ?in_put_in, IH.
  - split; intros [E|I]; try (now right); left; congruence.
  - split; [now right | intros [E|I]; [discriminate | assumption]].
Qed.

Lemma parts_of_NoDup : forall g, NoDup (parts_of g).
Proof.
  intros g. apply sorted_NoDup. unfold parts_of. induction (parts g) as [|[n|] l IH]; cbn [fold_right]; [constructor| |assumption].
  now apply put_in_sorted.
Qed.

(** ** The regions *)

Section Regions.
Variables (r : nat) (c : choices).

Definition with_query (q : nat) : choices := restrict (Nat.eqb q) r c.

(** The tokens of positive weight at [r] that the group asks for. *)
Definition queries_of (g : group) : list nat := filter (asks g) (map fst (nth r c [])).

Definition region_of (n : nat) (g : group) (q p : nat) : list region :=
  match build g p (with_query q) [0] with (Some _ :: _, ls) => [Region n g q p ls] | _ => [] end.

Definition regions_of_group (n : nat) (g : group) : list region :=
  flat_map (fun q => flat_map (region_of n g q) (parts_of g)) (queries_of g).

Fixpoint regions_from (n : nat) (groups : list group) : list region :=
  match groups with [] => [] | g :: rest => regions_of_group n g ++ regions_from (S n) rest end.

Definition regions_of : list group -> list region := regions_from 0.

(** Whether an input is in the region. *)
Definition member (rg : region) (x : list nat) : bool := in_region (group_of rg) r (query rg) (part rg) x.

Definition built_right (rg : region) : Prop :=
  Permutation (paths (layers rg) 0) (leading (group_of rg) (part rg) 0 (with_query (query rg))).

Lemma build_head : forall g p rows live j, hd None (fst (build g p rows live)) = Some j -> j = 0.
Proof.
  intros g p rows live j E. destruct rows as [|row rest]; cbn [build fst] in E;
    (destruct live as [|s live]; cbn [map numbers hd] in E; [discriminate|]).
  - destruct (is_number p _); [congruence | discriminate].
  - destruct (moves_of _ _ _ _); cbn [numbers hd] in E; [discriminate | congruence].
Qed.

Lemma in_region_of : forall n g q p rg, In rg (region_of n g q p) ->
  number rg = n /\ group_of rg = g /\ query rg = q /\ part rg = p /\ built_right rg.
Proof.
  intros n g q p rg. unfold region_of. pose proof (build_right g p (with_query q) [0]) as F.
  pose proof (build_head g p (with_query q) [0]) as H. destruct (build g p (with_query q) [0]) as [index ls]. cbn [fst snd] in *.
  inversion F as [|? o ? index' S N]; subst. destruct o as [j|]; [|intros []].
  intros [<-|[]]. specialize (H j eq_refl). subst j. repeat split. exact S.
Qed.

Lemma in_regions_of_group : forall n g rg, In rg (regions_of_group n g) ->
  number rg = n /\ group_of rg = g /\ In (query rg) (queries_of g) /\ built_right rg.
Proof.
  intros n g rg I. unfold regions_of_group in I. rewrite in_flat_map in I. destruct I as (q & Q & I).
  rewrite in_flat_map in I. destruct I as (p & P & I). apply in_region_of in I. destruct I as (N & G & <- & _ & R). repeat split; assumption.
Qed.

Lemma in_regions_from : forall groups n rg, In rg (regions_from n groups) ->
  n <= number rg /\ nth_error groups (number rg - n) = Some (group_of rg) /\ In (query rg) (queries_of (group_of rg)) /\ built_right rg.
Proof.
  induction groups as [|g groups IH]; intros n rg I; [destruct I|]. cbn [regions_from] in I. apply in_app_iff in I. destruct I as [I|I].
  - apply in_regions_of_group in I. destruct I as (<- & <- & Q & R). rewrite Nat.sub_diag. repeat split; auto.
  - destruct (IH (S n) rg I) as (L & G & Q & R). split; [lia|]. replace (number rg - n) with (S (number rg - S n)) by lia. repeat split; assumption.
Qed.

Variable groups : list group.

Theorem regions_right : forall rg, In rg (regions_of groups) ->
  nth_error groups (number rg) = Some (group_of rg) /\ In (query rg) (queries_of (group_of rg)) /\ built_right rg.
Proof. intros rg I. apply in_regions_from in I. rewrite Nat.sub_0_r in I. tauto. Qed.

Hypothesis r_small : r < length c.

(** The paths of a region are its inputs. *)
Lemma leading_members : forall g q p x, (exists a, In a (leading g p 0 (with_query q)) /\ map fst a = x) <->
  In x (inputs c) /\ in_region g r q p x = true.
Proof.
  intros g q p x. unfold leading, with_query, in_region, part_of. transitivity
    (In x (inputs (restrict (Nat.eqb q) r c)) /\ is_number p (match follow g 0 x with Some s => nth s (parts g) None | None => None end) = true).
  - rewrite in_inputs. split.
    + intros (a & I & <-). apply filter_In in I. destruct I as [I L]. split; [now exists a|]. unfold leads in L.
      destruct (follow g 0 (map fst a)); [assumption | discriminate].
    + intros [(a & I & <-) L]. exists a. split; [|reflexivity]. apply filter_In. split; [assumption|]. unfold leads.
      destruct (follow g 0 (map fst a)); [assumption | discriminate].
  - rewrite in_restrict by assumption. rewrite andb_true_iff. tauto.
Qed.

(** ** No region twice *)

Definition key (rg : region) : nat * nat * nat := (number rg, query rg, part rg).

Lemma NoDup_flat_map : forall (A : Type) (f : A -> list region) (tag : nat * nat * nat -> A) l, NoDup l ->
  (forall a, In a l -> NoDup (map key (f a))) -> (forall a rg, In a l -> In rg (f a) -> tag (key rg) = a) ->
  NoDup (map key (flat_map f l)).
Proof.
  intros A f tag. induction l as [|a l IH]; intros U each right; [constructor|]. inversion U as [|? ? U1 U2]; subst. cbn [flat_map].
  rewrite map_app. apply NoDup_app_disjoint.
  - apply each. now left.
  - apply IH; [assumption | intros; apply each; now right | intros; apply right; [now right | assumption]].
  - intros k I J. rewrite in_map_iff in *. destruct I as (rg & <- & I). destruct J as (rg' & E & J).
    rewrite in_flat_map in J. destruct J as (a' & A' & J).
    pose proof (right a rg ltac:(now left) I) as T. pose proof (right a' rg' ltac:(now right) J) as T'. congruence.
Qed.

Hypothesis tokens_distinct : distinct c.

Lemma queries_of_NoDup : forall g, NoDup (queries_of g).
Proof.
  intros g. unfold queries_of. apply NoDup_filter. unfold distinct in tokens_distinct. rewrite Forall_forall in tokens_distinct.
  apply tokens_distinct, nth_In, r_small.
Qed.

Lemma regions_of_group_NoDup : forall n g, NoDup (map key (regions_of_group n g)).
Proof.
  intros n g. apply NoDup_flat_map with (tag := fun k => snd (fst k)); [apply queries_of_NoDup | |].
  - intros q _. apply NoDup_flat_map with (tag := snd); [apply parts_of_NoDup | |].
    + intros p _. unfold region_of. destruct (build g p (with_query q) [0]) as [[|[j|] index] ls]; cbn [map]; repeat constructor. easy.
    + intros p rg _ I. now destruct (in_region_of _ _ _ _ _ I) as (_ & _ & _ & P & _).
  - intros q rg _ I. rewrite in_flat_map in I. destruct I as (p & _ & I). now destruct (in_region_of _ _ _ _ _ I) as (_ & _ & Q & _).
Qed.

Theorem regions_NoDup : NoDup (map key (regions_of groups)).
Proof.
  unfold regions_of. generalize 0 as n. induction groups as [|g l IH]; intros n; [constructor|]. cbn [regions_from]. rewrite map_app.
  apply NoDup_app_disjoint; [apply regions_of_group_NoDup | apply IH|].
  intros k I J. rewrite in_map_iff in *. destruct I as (rg & <- & I). destruct J as (rg' & E & J).
  apply in_regions_of_group in I. apply in_regions_from in J. unfold key in E. inversion E as [[N Q P]]. lia.
Qed.
End Regions.
