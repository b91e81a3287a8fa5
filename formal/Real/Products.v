(** Products of matrices of real numbers, which are functions of a row and a column. *)

From Coq Require Import Reals Lra Lia.
From Compact Require Import Spec.Model Real.Sums.
Open Scope R_scope.

(** [f g], where [f] has [n] columns and [g] as many rows. *)
Definition product_of (n : nat) (f g : nat -> nat -> R) (i j : nat) : R := sum n (fun l => f i l * g l j).

Lemma product_ext : forall n f f' g g' i j, (forall l, (l < n)%nat -> f i l = f' i l) -> (forall l, (l < n)%nat -> g l j = g' l j) ->
  product_of n f g i j = product_of n f' g' i j.
Proof. intros n f f' g g' i j F G. apply sum_ext. intros l L. now rewrite F, G. Qed.

Lemma product_assoc : forall n m f g h i j, product_of m (product_of n f g) h i j = product_of n f (product_of m g h) i j.
Proof.
  intros n m f g h i j. unfold product_of.
  rewrite (sum_ext m _ (fun o => sum n (fun l => f i l * g l o * h o j))) by (intros; now rewrite <- sum_scale_r).
  rewrite sum_swap. apply sum_ext. intros l _. rewrite <- sum_scale. apply sum_ext. intros. ring.
Qed.

Lemma product_plus : forall n f f' g i j, product_of n (fun i l => f i l + f' i l) g i j = product_of n f g i j + product_of n f' g i j.
Proof. intros. unfold product_of. rewrite <- sum_plus. apply sum_ext. intros. ring. Qed.

(** Where a first factor is split, its products are split. *)
Lemma split_first : forall n m f f' u w g i j, (forall l, (l < n)%nat -> f i l = f' i l + product_of m u w i l) ->
  product_of n f g i j = product_of n f' g i j + product_of m u (product_of n w g) i j.
Proof.
  intros n m f f' u w g i j F. rewrite <- product_assoc, <- product_plus. now apply product_ext.
Qed.

(** And where a second factor is. *)
Lemma split_second : forall n m f g g' u w i j, (forall l, (l < n)%nat -> g l j = g' l j + product_of m u w l j) ->
  product_of n f g i j = product_of n f g' i j + product_of m (product_of n f u) w i j.
Proof.
  intros n m f g g' u w i j G. rewrite product_assoc. unfold product_of at 1 2 3. rewrite <- sum_plus. apply sum_ext.
  intros l L. rewrite G by exact L. ring.
Qed.
