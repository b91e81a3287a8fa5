(** rules.md, "One attention layer" and Lemma 10: the logits as a direct path and a mean over positions for each head. *)

From Coq Require Import Reals Lra Lia List Arith.
From Compact Require Import Spec.Model Spec.General Real.Sums.
Import ListNotations.
Open Scope R_scope.

Section Features.
Variable L : layer.
Notation d := (residual_size L).
Notation n := (head_size L).

(** By position and token: the residual, a query, key or value of a head, and what a value adds to an output. *)
Definition embedded (p t i : nat) : R := of_token L t i + of_position L p i.
Definition seen_as (W : nat -> nat -> R) (b : nat -> R) (p t h : nat) : R := sum d (fun i => embedded p t i * W i h) + b h.
Definition value_of_head (H : head) (p t y : nat) : R :=
  sum n (fun h => seen_as (head_V H) (head_b_V H) p t h * sum d (fun i => head_O H h i * unembed L i y)).
Definition direct (r q y : nat) : R :=
  sum d (fun i => embedded r q i * unembed L i y) + sum d (fun i => b_attention L i * unembed L i y).

(** The score that the token [q] at [r] gives the token [t] at [p], and what it weighs. *)
Definition scored (H : head) (r q p t : nat) : R :=
  sum n (fun h => seen_as (head_Q H) (head_b_Q H) r q h * seen_as (head_K H) (head_b_K H) p t h).
Definition weighs (H : head) (r q p t : nat) : R := exp (scored H r q p t / sqrt (scale_squared L)).

Variables (x : list nat) (r : nat).
Notation at_ p := (nth p x 0%nat).
Notation seen := (visible L x r).

(** The mean over the positions that are seen of what is at their tokens. *)
Definition denominator (H : head) : R := sum seen (fun p => weighs H r (at_ r) p (at_ p)).
Definition mean_of (H : head) (g : nat -> nat -> R) : R :=
  sum seen (fun p => weighs H r (at_ r) p (at_ p) * g p (at_ p)) / denominator H.

Hypothesis some : (0 < seen)%nat.

Lemma denominator_pos : forall H, 0 < denominator H.
Proof. intros H. apply sum_pos; [intros; apply exp_pos | exact some]. Qed.

Lemma attention_weighs : forall H p, head_attention L x H r p = weighs H r (at_ r) p (at_ p) / denominator H.
Proof. reflexivity. Qed.

Lemma heads_swap : forall (f : head -> nat -> R) (g : nat -> R),
  sum d (fun i => sum_of_heads L (fun H => f H i) * g i) = sum_of_heads L (fun H => sum d (fun i => f H i * g i)).
Proof.
  intros f g. unfold sum_of_heads. induction (heads L) as [|H all IH]; cbn [fold_right].
  - rewrite (sum_ext d _ (fun _ => 0)) by (intros; ring). apply sum_zero.
  - rewrite <- IH, <- sum_plus. apply sum_ext. intros. ring.
Qed.

Lemma heads_ext : forall f g : head -> R, (forall H, f H = g H) -> sum_of_heads L f = sum_of_heads L g.
Proof. intros f g same. unfold sum_of_heads. induction (heads L) as [|H all IH]; cbn [fold_right]; [reflexivity|]. now rewrite same, IH. Qed.

Lemma heads_minus : forall f g : head -> R, sum_of_heads L (fun H => f H - g H) = sum_of_heads L f - sum_of_heads L g.
Proof. intros f g. unfold sum_of_heads. induction (heads L) as [|H all IH]; cbn [fold_right]; [ring|]. rewrite IH. ring. Qed.

Lemma head_adds : forall H y,
  sum d (fun i => sum n (fun h => head_mixed L x H r h * head_O H h i) * unembed L i y) = mean_of H (fun p t => value_of_head H p t y).
Proof.
  intros H y. unfold mean_of, Rdiv. rewrite <- sum_scale_r.
  rewrite (sum_ext d _ (fun i => sum n (fun h => head_mixed L x H r h * (head_O H h i * unembed L i y))))
    by (intros; rewrite <- sum_scale_r; apply sum_ext; intros; ring).
  rewrite sum_swap.
  rewrite (sum_ext n _ (fun h => sum seen (fun p => head_attention L x H r p * (seen_as (head_V H) (head_b_V H) p (at_ p) h
    * sum d (fun i => head_O H h i * unembed L i y))))).
  - rewrite sum_swap. apply sum_ext. intros p _. rewrite sum_scale, attention_weighs. unfold value_of_head, Rdiv. ring.
  - intros h _. rewrite sum_scale. unfold head_mixed. rewrite <- sum_scale_r. apply sum_ext. intros p _.
    unfold read_by, seen_as, entering, embedded. ring.
Qed.

Lemma logit_by_heads : forall y,
  logit_at L x r y = direct r (at_ r) y + b_unembed L y + sum_of_heads L (fun H => mean_of H (fun p t => value_of_head H p t y)).
Proof.
  intros y. unfold logit_at, leaving, direct.
  rewrite (sum_ext d _ (fun i => (entering L x r i * unembed L i y + b_attention L i * unembed L i y)
    + sum_of_heads L (fun H => sum n (fun h => head_mixed L x H r h * head_O H h i)) * unembed L i y)) by (intros; ring).
  rewrite !sum_plus, heads_swap. rewrite (heads_ext _ _ (fun H => head_adds H y)). unfold entering, embedded. ring.
Qed.

Lemma mean_minus : forall H f g, mean_of H (fun p t => f p t - g p t) = mean_of H f - mean_of H g.
Proof.
  intros H f g. unfold mean_of, Rdiv.
  rewrite (sum_ext seen _ (fun p => weighs H r (at_ r) p (at_ p) * f p (at_ p) - weighs H r (at_ r) p (at_ p) * g p (at_ p))) by (intros; ring).
  rewrite sum_minus. ring.
Qed.

(** Lemma 10. *)
Theorem ahead_by_heads : forall mu y c,
  logit_at L x r y - logit_at L x r c + mu
  = direct r (at_ r) y - direct r (at_ r) c + (b_unembed L y - b_unembed L c + mu)
    + sum_of_heads L (fun H => mean_of H (fun p t => value_of_head H p t y - value_of_head H p t c)).
Proof.
  intros mu y c. rewrite !logit_by_heads. rewrite (heads_ext _ _ (fun H => mean_minus H _ _)), heads_minus. ring.
Qed.

(** Lemma 6: a bound on a mean, from a numerator. *)
Lemma mean_le : forall H g bound, sum seen (fun p => weighs H r (at_ r) p (at_ p) * (g p (at_ p) - bound)) <= 0 -> mean_of H g <= bound.
Proof.
  intros H g bound below. pose proof (denominator_pos H) as positive. unfold mean_of.
  rewrite (sum_ext seen _ (fun p => weighs H r (at_ r) p (at_ p) * g p (at_ p) - bound * weighs H r (at_ r) p (at_ p))) in below by (intros; ring).
  rewrite sum_minus, sum_scale in below. fold (denominator H) in below.
  apply Rmult_le_reg_r with (denominator H); [exact positive|]. unfold Rdiv. rewrite Rmult_assoc, Rinv_l, Rmult_1_r by lra. lra.
Qed.

Lemma mean_shift : forall H g c, mean_of H (fun p t => g p t - c) = mean_of H g - c.
Proof.
  intros H g c. pose proof (denominator_pos H). rewrite mean_minus. f_equal. unfold mean_of. rewrite sum_scale_r.
  fold (denominator H). field. lra.
Qed.
End Features.
