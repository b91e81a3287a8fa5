(** The exponential between partial sums of its series. *)

From Coq Require Import Reals Lra Lia.
Open Scope R_scope.

Definition term (z : R) (i : nat) : R := / INR (fact i) * z ^ i.
Definition partial (z : R) (n : nat) : R := sum_f_R0 (term z) n.

Lemma partial_0 : forall z, partial z 0 = 1.
Proof. intros. unfold partial, term. simpl. field. Qed.

Lemma term_0 : forall z, term z 0 = 1.
Proof. intros. unfold term. simpl. field. Qed.

Lemma partial_S : forall z n, partial z (S n) = partial z n + term z (S n).
Proof. reflexivity. Qed.

Lemma term_S : forall z n, term z (S n) * INR (S n) = term z n * z.
Proof.
  intros. unfold term. rewrite fact_simpl, mult_INR. simpl (z ^ S n). field.
  split; [apply INR_fact_neq_0 | apply not_0_INR; lia].
Qed.

Lemma term_nonneg : forall z n, 0 <= z -> 0 <= term z n.
Proof.
  intros. unfold term. apply Rmult_le_pos; [|now apply pow_le].
  apply Rlt_le, Rinv_0_lt_compat, INR_fact_lt_0.
Qed.

Lemma converges : forall z, Un_cv (partial z) (exp z).
Proof. intros. unfold exp. destruct (exist_exp z) as [l L]. exact L. Qed.

Lemma exp_ge_partial : forall z n, 0 <= z -> partial z n <= exp z.
Proof. intros. apply sum_incr; [apply converges | intros; now apply term_nonneg]. Qed.

Lemma term_halves : forall z n, 0 <= z <= 1 / 2 -> 2 * term z (S n) <= term z n.
Proof.
  intros z n [natural small].
  pose proof (term_S z n) as E. pose proof (term_nonneg z n natural). pose proof (term_nonneg z (S n) natural).
  assert (1 <= INR (S n)) by (rewrite S_INR; pose proof (pos_INR n); lra). nra.
Qed.

Lemma partial_below : forall z n m, 0 <= z <= 1 / 2 ->
  partial z (n + m) <= partial z n + term z n - term z (n + m).
Proof.
  intros z n m small. induction m as [|m IH].
  - rewrite Nat.add_0_r. lra.
  - rewrite Nat.add_succ_r, partial_S. pose proof (term_halves z (n + m) small). lra.
Qed.

(** What follows the last term of a partial sum is at most this term. *)
Lemma exp_le_partial : forall z n, 0 <= z <= 1 / 2 -> exp z <= partial z n + term z n.
Proof.
  intros z n small. apply Rle_cv_lim with (Un := fun m => partial z (n + m)) (Vn := fun _ => partial z n + term z n).
  - intros m. pose proof (partial_below z n m small). pose proof (term_nonneg z (n + m) (proj1 small)). lra.
  - intros eps positive. destruct (converges z eps positive) as [N near]. exists N. intros m large. apply near. lia.
  - intros eps positive. exists 0%nat. intros. rewrite R_dist_eq. lra.
Qed.
