(** rules.md, Paths: what the inputs of a region weigh together. *)

From Coq Require Import ZArith List Lia Bool Permutation.
From Compact Require Import Count.Counting Count.Packed Regions.Inputs Regions.Groups Regions.Layers Regions.Building Regions.Listing.
Import ListNotations.
Open Scope Z_scope.

(** For each state what can be read from it on. *)
Fixpoint weights_from (ls : list layer) : list Z :=
  match ls with
  | [] => [1]
  | l :: rest =>
      let after := weights_from rest in
      let sums := map (fun row => add_up (map snd row)) (tokens l) in
      map (fun ms => add_up (map (fun m => nth (fst m) sums 0 * nth (snd m) after 0) ms)) (moves l)
  end.

Definition weight_of (ls : list layer) : Z := nth 0 (weights_from ls) 0.

Lemma weights_from_right : forall ls s, add_up (map weight_along (paths ls s)) = nth s (weights_from ls) 0.
Proof.
  induction ls as [|l rest IH]; intros s.
  - destruct s as [|[|s]]; reflexivity.
  - rewrite sum_over_paths. cbn [weights_from]. rewrite nth_map_0 by reflexivity. f_equal. apply map_ext. intros m.
    rewrite nth_map_0, <- IH, Z.mul_comm, <- add_up_scale by reflexivity. f_equal. apply map_ext. intros a.
    unfold weight_along. cbn [map multiply]. rewrite add_up_scale. ring.
Qed.

Section Region.
Variables (r : nat) (c : choices) (groups : list group).
Hypothesis r_small : (r < length c)%nat.

(** A sum over the paths of a region is one over its inputs. *)
Lemma sum_over_region : forall rg f, In rg (regions_of r c groups) ->
  add_up (map (fun a => weight_along a * f (map fst a)) (paths (layers rg) 0)) =
  sum_of (fun x => if member r rg x then f x else 0) c.
Proof.
  intros rg f R. destruct (regions_right r c groups rg R) as (_ & _ & B). unfold built_right in B.
  assert (P : forall l l', Permutation l l' -> add_up l = add_up l') by (induction 1; cbn [add_up]; lia).
  rewrite (P _ _ (Permutation_map _ B)). unfold leading.
  transitivity (sum_of (fun x => if is_number (part rg) (part_of (group_of rg) x) then f x else 0) (with_query r c (query rg))).
  - rewrite sum_of_product. induction (product (with_query r c (query rg))) as [|a l IH]; [reflexivity|].
    cbn [filter map add_up]. rewrite <- IH. unfold leads at 1, part_of at 1.
    destruct (follow (group_of rg) 0 (map fst a)) as [s|]; cbn [is_number]; [|lia].
    destruct (is_number (part rg) (nth s (parts (group_of rg)) None)); cbn [map add_up]; lia.
  - unfold with_query. rewrite sum_of_restrict by assumption. apply sum_of_ext. intros x _. unfold member, in_region.
    rewrite andb_comm. now destruct (is_number _ _), (Nat.eqb _ _).
Qed.

Theorem weight_of_region : forall rg, In rg (regions_of r c groups) -> weight_of (layers rg) = weigh (member r rg) c.
Proof.
  intros rg R. unfold weight_of. rewrite <- weights_from_right.
  rewrite (map_ext _ (fun a => weight_along a * 1)) by (intros; lia).
  now rewrite (sum_over_region rg (fun _ => 1)).
Qed.
End Region.
