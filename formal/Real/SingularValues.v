(** How far the entries of a row of [A B] can differ, from a form that is never negative: rules.md, score_singular_value.
    Neither roots of matrices nor eigenvalues are needed, as the form is looked at in the rows of [A] only. *)

From Coq Require Import Reals Lra Lia Arith.
From Compact Require Import Spec.Model Real.Sums Real.Products Real.Definite.
Open Scope R_scope.

Section Rows.
Variables (v d c : nat) (A B : nat -> nat -> R) (ridge s : R).

Definition ridge_of (i j : nat) : R := if Nat.eqb i j then ridge else 0.
Definition G_of (i j : nat) : R := product_of c B (transposed B) i j + ridge_of i j.
Definition H_of : nat -> nat -> R := product_of v (transposed A) A.
Definition N_of (i j : nat) : R := s ^ 2 * G_of i j + -1 * product_of d G_of (product_of d H_of G_of) i j.

Lemma gram_symmetric : forall m f, symmetric d (product_of m (transposed f) f).
Proof. intros m f i j _ _. apply sum_ext. intros. unfold transposed. ring. Qed.

Lemma form_gram : forall n m f y, form n (product_of m (transposed f) f) y = sum m (fun l => image n f y l ^ 2).
Proof.
  intros n m f y. unfold form, image.
  rewrite (sum_ext n _ (fun i => sum m (fun l => f l i * y i * product_of n f (column y) l 0%nat))).
  - rewrite sum_swap. apply sum_ext. intros l _. rewrite sum_scale_r. unfold product_of, column. ring.
  - intros i _. rewrite product_assoc. unfold product_of at 1. rewrite <- sum_scale. apply sum_ext. intros. unfold transposed. ring.
Qed.

Lemma form_plus : forall n S S' y, form n (fun i j => S i j + S' i j) y = form n S y + form n S' y.
Proof. intros. unfold form, image. rewrite <- sum_plus. apply sum_ext. intros. rewrite product_plus. ring. Qed.

Lemma form_scale : forall n c S y, form n (fun i j => c * S i j) y = c * form n S y.
Proof.
  intros. unfold form, image, product_of. rewrite <- sum_scale. apply sum_ext. intros.
  rewrite <- !sum_scale. apply sum_ext. intros. ring.
Qed.

Lemma form_ridge : forall y, form d ridge_of y = ridge * sum d (fun i => y i ^ 2).
Proof.
  intros y. unfold form. rewrite <- sum_scale. apply sum_ext. intros i I. unfold image, product_of, column, ridge_of.
  replace (sum d (fun l => (if Nat.eqb i l then ridge else 0) * y l)) with (ridge * y i); [ring|].
  clear -I. induction d as [|n IH]; [lia|]. simpl. destruct (Nat.eqb_spec i n) as [-> | other].
  - rewrite (sum_ext n _ (fun _ => 0)), sum_zero; [ring|]. intros l L. destruct (Nat.eqb_spec n l); [lia | ring].
  - rewrite <- IH by lia. ring.
Qed.

Lemma G_symmetric : symmetric d G_of.
Proof.
  intros i j I J. unfold G_of, ridge_of. rewrite (Nat.eqb_sym i j). f_equal. exact (gram_symmetric c (transposed B) i j I J).
Qed.

(** [G H G] *)
Lemma middle : forall i j, (i < d)%nat -> (j < d)%nat -> product_of d G_of (product_of d H_of G_of) i j = congruent d G_of H_of i j.
Proof.
  intros i j I J. unfold congruent. rewrite product_assoc. apply product_ext; [|reflexivity]. intros l L. now apply G_symmetric.
Qed.

Lemma N_symmetric : symmetric d N_of.
Proof.
  intros i j I J. unfold N_of. rewrite (G_symmetric i j), !middle by assumption. f_equal. f_equal.
  exact (congruent_symmetric d d G_of H_of (gram_symmetric v A) i j I J).
Qed.

Theorem rows_of_product : 0 <= ridge -> (forall y, 0 <= form d N_of y) -> forall q t t', (q < v)%nat -> (t < c)%nat -> (t' < c)%nat ->
  (product_of d A B q t - product_of d A B q t') ^ 2 <= 2 * s ^ 2.
Proof.
  intros natural never q t t' Q T T'. set (a := A q). set (x := product_of d A B q).
  assert (of_G : form d G_of a = sum c (fun j => x j ^ 2) + ridge * sum d (fun i => a i ^ 2)).
  { unfold G_of. rewrite form_plus, form_ridge. f_equal. transitivity (sum c (fun j => image d (transposed B) a j ^ 2)).
    - exact (form_gram d c (transposed B) a).
    - apply sum_ext. intros j _. f_equal. apply sum_ext. intros l _. apply Rmult_comm. }
  assert (squares : 0 <= sum d (fun i => a i ^ 2)) by (apply sum_nonneg; intros; apply pow2_ge_0).
  assert (all : sum c (fun j => x j ^ 2) <= s ^ 2).
  { assert (of_N : form d N_of a = s ^ 2 * form d G_of a - form d H_of (image d G_of a)).
    { unfold N_of. rewrite form_plus, !form_scale, (form_ext d _ (congruent d G_of H_of) a a middle), form_congruent by reflexivity. ring. }
    pose proof (never a) as N. rewrite of_N in N. unfold H_of in N. rewrite form_gram in N.
    pose proof (sum_ge_term v (fun l => image d A (image d G_of a) l ^ 2) q ltac:(intros; apply pow2_ge_0) Q) as own. cbv beta in own.
    change (image d A (image d G_of a) q) with (form d G_of a) in own.
    assert (0 <= sum c (fun j => x j ^ 2)) by (apply sum_nonneg; intros; apply pow2_ge_0).
    assert (less : sum c (fun j => x j ^ 2) <= form d G_of a) by (rewrite of_G; nra).
    pose proof (pow2_ge_0 s). set (g := form d G_of a) in *. destruct (Rle_lt_dec g (s ^ 2)) as [|above]; [lra | nra]. }
  assert (two : x t ^ 2 + x t' ^ 2 <= s ^ 2 \/ t = t').
  { destruct (lt_eq_lt_dec t t') as [[less | same] | more]; [left | right; exact same | left].
    - pose proof (sum_ge_two_terms c (fun j => x j ^ 2) t t' ltac:(intros; apply pow2_ge_0) less T'). cbv beta in *. lra.
    - pose proof (sum_ge_two_terms c (fun j => x j ^ 2) t' t ltac:(intros; apply pow2_ge_0) more T). cbv beta in *. lra. }
  destruct two as [two | same]; [pose proof (pow2_ge_0 (x t + x t')); nra | rewrite same; pose proof (pow2_ge_0 s); nra].
Qed.
End Rows.
