(** Finite sums of real numbers. *)

From Coq Require Import Reals Lra Lia List Arith.
From Compact Require Import Spec.Model.
Open Scope R_scope.

Lemma sum_ext : forall n f g, (forall i, (i < n)%nat -> f i = g i) -> sum n f = sum n g.
Proof.
  induction n as [|n IH]; intros f g same; simpl; [reflexivity|].
  rewrite (IH f g), (same n); auto with arith.
Qed.

Lemma sum_plus : forall n f g, sum n (fun i => f i + g i) = sum n f + sum n g.
Proof. induction n as [|n IH]; intros; simpl; [|rewrite IH]; ring. Qed.

Lemma sum_minus : forall n f g, sum n (fun i => f i - g i) = sum n f - sum n g.
Proof. induction n as [|n IH]; intros; simpl; [|rewrite IH]; ring. Qed.

Lemma sum_scale : forall n c f, sum n (fun i => c * f i) = c * sum n f.
Proof. induction n as [|n IH]; intros; simpl; [|rewrite IH]; ring. Qed.

Lemma sum_scale_r : forall n c f, sum n (fun i => f i * c) = sum n f * c.
Proof. induction n as [|n IH]; intros; simpl; [|rewrite IH]; ring. Qed.

Lemma sum_swap : forall n m f, sum n (fun i => sum m (fun j => f i j)) = sum m (fun j => sum n (fun i => f i j)).
Proof.
  induction n as [|n IH]; intros m f; simpl.
  - induction m as [|m IHm]; simpl; [|rewrite <- IHm]; ring.
  - rewrite IH, <- sum_plus. reflexivity.
Qed.

Lemma sum_pos : forall n f, (forall i, (i < n)%nat -> 0 < f i) -> (0 < n)%nat -> 0 < sum n f.
Proof.
  induction n as [|n IH]; intros f positive some; [lia|]. simpl.
  assert (0 < f n) by (apply positive; lia).
  destruct n as [|n]; [simpl; lra|].
  assert (0 < sum (S n) f) by (apply IH; [intros; apply positive|]; lia). lra.
Qed.

Lemma sum_le : forall n f g, (forall i, (i < n)%nat -> f i <= g i) -> sum n f <= sum n g.
Proof.
  induction n as [|n IH]; intros f g below; simpl; [lra|].
  assert (f n <= g n) by (apply below; lia).
  assert (sum n f <= sum n g) by (apply IH; intros; apply below; lia). lra.
Qed.

(** The first term by itself: sums over lists, whose head has the index 0. *)
Lemma sum_first : forall n f, sum (S n) f = f 0%nat + sum n (fun i => f (S i)).
Proof. induction n as [|n IH]; intros f; [simpl; ring|]. change (sum (S (S n)) f) with (sum (S n) f + f (S n)). rewrite IH. simpl. ring. Qed.

(** Terms that are not negative. *)

Lemma sum_zero : forall n, sum n (fun _ => 0) = 0.
Proof. induction n as [|n IH]; simpl; [|rewrite IH]; ring. Qed.

Lemma sum_nonneg : forall n f, (forall i, (i < n)%nat -> 0 <= f i) -> 0 <= sum n f.
Proof. intros n f natural. rewrite <- (sum_zero n). now apply sum_le. Qed.

Lemma sum_ge_term : forall n f i, (forall j, (j < n)%nat -> 0 <= f j) -> (i < n)%nat -> f i <= sum n f.
Proof.
  induction n as [|n IH]; intros f i natural I; [lia|]. simpl. destruct (Nat.eq_dec i n) as [-> | other].
  - pose proof (sum_nonneg n f ltac:(intros; apply natural; lia)). lra.
  - pose proof (IH f i ltac:(intros; apply natural; lia) ltac:(lia)). pose proof (natural n ltac:(lia)). lra.
Qed.

Lemma sum_ge_two_terms : forall n f i i', (forall j, (j < n)%nat -> 0 <= f j) -> (i < i')%nat -> (i' < n)%nat -> f i + f i' <= sum n f.
Proof.
  induction n as [|n IH]; intros f i i' natural I I'; [lia|]. simpl. destruct (Nat.eq_dec i' n) as [-> | other].
  - pose proof (sum_ge_term n f i ltac:(intros; apply natural; lia) ltac:(lia)). lra.
  - pose proof (IH f i i' ltac:(intros; apply natural; lia) I ltac:(lia)). pose proof (natural n ltac:(lia)). lra.
Qed.
