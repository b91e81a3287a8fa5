(** Quadratic forms: a diagonal that dominates makes one positive; and what that says of a form which it is a change of
    coordinates of. *)

From Coq Require Import Reals Lra Lia Arith.
From Compact Require Import Spec.Model Real.Sums Real.Products.
Open Scope R_scope.

(** ** Equations *)

(** [n] equations in [n + 1] unknowns have a solution besides 0. *)
Lemma nonzero_solution : forall n (f : nat -> nat -> R), exists y, (exists j, (j < S n)%nat /\ y j <> 0) /\
  forall i, (i < n)%nat -> sum (S n) (fun j => f i j * y j) = 0.
Proof.
  induction n as [|n IH]; intros f.
  - exists (fun _ => 1). split; [exists 0%nat; split; [lia | lra] | intros; lia].
  - assert (pivot : (exists p, (p < S n)%nat /\ f p (S n) <> 0) \/ forall i, (i < S n)%nat -> f i (S n) = 0).
    { generalize (S n) at 1 3 as m. induction m as [|m [(p & P & N) | all]]; [right; intros; lia | left; exists p; split; [lia | exact N] |].
      destruct (Req_dec (f m (S n)) 0) as [Z | N]; [|left; exists m; split; [lia | exact N]].
      right. intros i I. destruct (Nat.eq_dec i m) as [-> | other]; [exact Z | apply all; lia]. }
    destruct pivot as [(p & P & N) | none].
    + set (other := fun i => if Nat.eqb i p then n else i).
      destruct (IH (fun i j => f (other i) j - f (other i) (S n) / f p (S n) * f p j)) as (y & (j & J & Y) & right).
      set (last := - sum (S n) (fun j => f p j * y j) / f p (S n)).
      set (y' := fun j => if Nat.eqb j (S n) then last else y j).
      assert (with_last : forall i, sum (S (S n)) (fun j => f i j * y' j) = sum (S n) (fun j => f i j * y j) + f i (S n) * last).
      { intros i. change (sum (S (S n)) (fun j => f i j * y' j)) with (sum (S n) (fun j => f i j * y' j) + f i (S n) * y' (S n)).
        f_equal; [|unfold y'; now rewrite Nat.eqb_refl]. apply sum_ext. intros l L. unfold y'.
        destruct (Nat.eqb_spec l (S n)); [lia | reflexivity]. }
      exists y'. split.
      * exists j. split; [lia|]. unfold y'. destruct (Nat.eqb_spec j (S n)); [lia | exact Y].
      * assert (reduced : forall i, (i < n)%nat -> sum (S (S n)) (fun j => f (other i) j * y' j) = 0).
        { intros i I. rewrite with_last, <- (right i I). unfold last, Rdiv.
          rewrite (sum_ext (S n) (fun j => (f (other i) j - f (other i) (S n) * / f p (S n) * f p j) * y j)
            (fun j => f (other i) j * y j - f (other i) (S n) * / f p (S n) * (f p j * y j))) by (intros; ring).
          rewrite sum_minus, sum_scale. ring. }
        intros i I. destruct (Nat.eq_dec i p) as [-> | differ]; [rewrite with_last; unfold last; field; exact N|].
        destruct (Nat.eq_dec i n) as [-> | small].
        -- specialize (reduced p ltac:(lia)). unfold other in reduced. now rewrite Nat.eqb_refl in reduced.
        -- specialize (reduced i ltac:(lia)). unfold other in reduced. destruct (Nat.eqb_spec i p); [lia | exact reduced].
    + exists (fun j => if Nat.eqb j (S n) then 1 else 0). split.
      * exists (S n). split; [lia|]. rewrite Nat.eqb_refl. lra.
      * intros i I. change (sum (S n) (fun j => f i j * (if Nat.eqb j (S n) then 1 else 0)) + f i (S n) * (if Nat.eqb (S n) (S n) then 1 else 0) = 0).
        rewrite (none i I), (sum_ext (S n) _ (fun _ => 0)), sum_zero; [ring|]. intros l L. destruct (Nat.eqb_spec l (S n)); [lia | ring].
Qed.

(** A square matrix that takes nothing but 0 to 0 reaches everything. *)
Lemma reaches_all : forall n (f : nat -> nat -> R),
  (forall y, (forall i, (i < n)%nat -> sum n (fun j => f i j * y j) = 0) -> forall j, (j < n)%nat -> y j = 0) ->
  forall a, exists y, forall i, (i < n)%nat -> sum n (fun j => f i j * y j) = a i.
Proof.
  intros n f injective a.
  destruct (nonzero_solution n (fun i j => if Nat.eqb j n then - a i else f i j)) as (y & (j & J & Y) & right).
  assert (E : forall i, (i < n)%nat -> sum n (fun j => f i j * y j) = a i * y n).
  { intros i I. specialize (right i I). simpl in right. rewrite Nat.eqb_refl in right.
    rewrite (sum_ext n _ (fun j => (if Nat.eqb j n then - a i else f i j) * y j)); [lra|].
    intros l L. destruct (Nat.eqb_spec l n); [lia | reflexivity]. }
  destruct (Req_dec (y n) 0) as [Z | N].
  - destruct (Nat.eq_dec j n) as [-> | other]; [contradiction|]. elim Y. apply injective; [|lia].
    intros i I. rewrite E, Z by exact I. ring.
  - exists (fun j => y j / y n). intros i I. unfold Rdiv.
    rewrite (sum_ext n _ (fun j => f i j * y j * / y n)) by (intros; ring). rewrite sum_scale_r, E by exact I. field. exact N.
Qed.

(** ** Forms *)

Definition transposed (f : nat -> nat -> R) (i j : nat) : R := f j i.
Definition column (y : nat -> R) (i j : nat) : R := y i.
Definition image (n : nat) (f : nat -> nat -> R) (y : nat -> R) (i : nat) : R := product_of n f (column y) i 0.
Definition form (n : nat) (S : nat -> nat -> R) (y : nat -> R) : R := sum n (fun i => y i * image n S y i).

Definition symmetric (n : nat) (S : nat -> nat -> R) : Prop := forall i j, (i < n)%nat -> (j < n)%nat -> S i j = S j i.

Lemma form_ext : forall n S S' y y', (forall i j, (i < n)%nat -> (j < n)%nat -> S i j = S' i j) -> (forall i, (i < n)%nat -> y i = y' i) ->
  form n S y = form n S' y'.
Proof.
  intros n S S' y y' same same_y. apply sum_ext. intros i I. rewrite same_y by exact I. f_equal.
  apply product_ext; intros l L; [now apply same | now apply same_y].
Qed.

(** [f^T S f], of an [f] with [m] rows. *)
Definition congruent (m : nat) (f S : nat -> nat -> R) : nat -> nat -> R := product_of m (product_of m (transposed f) S) f.

Lemma form_congruent : forall n m f S y, form n (congruent m f S) y = form m S (image n f y).
Proof.
  intros n m f S y. unfold form, image, congruent.
  transitivity (sum n (fun i => y i * product_of m (transposed f) (product_of m S (product_of n f (column y))) i 0%nat)).
  - apply sum_ext. intros i _. now rewrite product_assoc, product_assoc.
  - unfold product_of at 1. rewrite (sum_ext n _ (fun i => sum m (fun l => y i * (transposed f i l * product_of m S (product_of n f (column y)) l 0%nat))))
      by (intros; now rewrite <- sum_scale).
    rewrite sum_swap. apply sum_ext. intros l _. unfold transposed.
    rewrite (sum_ext n _ (fun i => f l i * y i * product_of m S (product_of n f (column y)) l 0%nat)) by (intros; ring).
    rewrite sum_scale_r. reflexivity.
Qed.

Lemma congruent_symmetric : forall n m f S, symmetric m S -> symmetric n (congruent m f S).
Proof.
  intros n m f S same i j I J. unfold congruent, product_of, transposed.
  rewrite (sum_ext m (fun l => sum m (fun k => f k i * S k l) * f l j) (fun l => sum m (fun k => f k i * S k l * f l j)))
    by (intros; now rewrite <- sum_scale_r).
  rewrite sum_swap. apply sum_ext. intros l L. rewrite <- sum_scale_r. apply sum_ext. intros k K. rewrite (same l k L K). ring.
Qed.

Lemma dominant_form : forall n S y i, symmetric n S ->
  (forall i, (i < n)%nat -> sum n (fun j => Rabs (S i j)) - Rabs (S i i) < S i i) -> (i < n)%nat ->
  (S i i + Rabs (S i i) - sum n (fun j => Rabs (S i j))) * y i ^ 2 <= form n S y.
Proof.
  intros n S y i same dominant I.
  set (own := fun i => (S i i + Rabs (S i i) - sum n (fun j => Rabs (S i j))) * y i ^ 2).
  apply Rle_trans with (sum n own).
  - apply (sum_ge_term n own i); [|exact I]. intros j J. unfold own. pose proof (dominant j J). pose proof (pow2_ge_0 (y j)). nra.
  - set (pair := fun i j => S i j * y i * y j + Rabs (S i j) * (y i ^ 2 + y j ^ 2) / 2).
    assert (natural : forall i j, 0 <= pair i j).
    { intros a b. unfold pair. pose proof (Rle_abs (S a b)). pose proof (Rle_abs (- S a b)) as L. rewrite Rabs_Ropp in L.
      pose proof (pow2_ge_0 (y a - y b)). pose proof (pow2_ge_0 (y a + y b)). nra. }
    assert (both : sum n (fun i => sum n (fun j => Rabs (S i j) * y j ^ 2)) = sum n (fun i => sum n (fun j => Rabs (S i j) * y i ^ 2))).
    { rewrite sum_swap. apply sum_ext. intros a A. apply sum_ext. intros b B. now rewrite (same b a B A). }
    assert (whole : form n S y = sum n (fun i => sum n (pair i)) - sum n (fun i => sum n (fun j => Rabs (S i j) * y i ^ 2))).
    { assert (E : sum n (fun i => sum n (pair i)) = form n S y
        + (sum n (fun i => sum n (fun j => Rabs (S i j) * y i ^ 2)) + sum n (fun i => sum n (fun j => Rabs (S i j) * y j ^ 2))) * / 2).
      { unfold form, image, product_of, column. rewrite <- sum_plus, <- sum_scale_r, <- sum_plus. apply sum_ext. intros a _.
        rewrite <- sum_plus, <- sum_scale_r, <- sum_scale, <- sum_plus. apply sum_ext. intros b _. unfold pair. field. }
      rewrite E, both. field. }
    rewrite whole, <- sum_minus. apply sum_le. intros a A. unfold own.
    pose proof (sum_ge_term n (pair a) a ltac:(intros; apply natural) A) as own_pair. rewrite sum_scale_r.
    unfold pair at 1 in own_pair. lra.
Qed.

(** What a square witness of the second form shows of the first. *)
Theorem witnessed_form : forall n S f, symmetric n S ->
  (forall i, (i < n)%nat -> let X := congruent n f S in sum n (fun j => Rabs (X i j)) - Rabs (X i i) < X i i) ->
  forall y, 0 <= form n S y.
Proof.
  intros n S f same dominant y. cbv zeta in dominant.
  pose proof (fun z i => dominant_form n (congruent n f S) z i (congruent_symmetric n n f S same) dominant) as below.
  destruct (Nat.eq_dec n 0) as [-> | some]; [apply Rle_refl|].
  destruct (reaches_all n f) with (a := y) as (z & E).
  - intros z Z j J. specialize (below z j J). rewrite form_congruent in below.
    assert (nothing : form n S (image n f z) = 0).
    { unfold form. rewrite (sum_ext n _ (fun _ => 0)); [apply sum_zero|]. intros i I. unfold image at 1, product_of, column.
      rewrite Z by exact I. ring. }
    rewrite nothing in below. pose proof (dominant j J). pose proof (pow2_ge_0 (z j)).
    assert (z j ^ 2 = 0) by nra. destruct (Req_dec (z j) 0) as [|N]; [assumption|]. pose proof (pow_nonzero (z j) 2 N). contradiction.
  - specialize (below z 0%nat ltac:(lia)). rewrite form_congruent in below.
    rewrite (form_ext n S S (image n f z) y) in below; [|reflexivity | exact E].
    pose proof (dominant 0%nat ltac:(lia)). pose proof (pow2_ge_0 (z 0%nat)). nra.
Qed.
