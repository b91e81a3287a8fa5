(** rules.md, "Setting" and Lemma 1: the circuits of the head, and the sign that decides a sequence. *)

From Coq Require Import Reals Lra Lia List Arith.
From Compact Require Import Spec.Model Real.Sums.
Open Scope R_scope.

Section Circuits.
Variable M : model.
Notation d := (d_model M).
Notation h := (d_head M).
Notation k := (n_ctx M).

(** The residual of the query token, at the last position. *)
Definition query_residual (q i : nat) : R := W_E M q i + W_pos M (k - 1) i.
Definition OU (a y : nat) : R := sum d (fun i => W_O M a i * W_U M i y).
Definition OVU (i y : nat) : R := sum h (fun a => W_V M i a * OU a y).
Definition EVOU (t y : nat) : R := sum d (fun i => W_E M t i * OVU i y).
Definition PVOU (p y : nat) : R := sum d (fun i => W_pos M p i * OVU i y).
Definition value_bias (i : nat) : R := sum h (fun a => b_V M a * W_O M a i) + b_O M i.
Definition direct_constant (y : nat) : R := sum d (fun i => value_bias i * W_U M i y) + b_U M y.
Definition EUPU (q y : nat) : R := sum d (fun i => query_residual q i * W_U M i y) + direct_constant y.
Definition queries (q a : nat) : R := sum d (fun i => query_residual q i * W_Q M i a) + b_Q M a.
Definition query_key (q i : nat) : R := sum h (fun a => queries q a * W_K M i a).

(** Scores times [sqrt(d_head)]. *)
Definition token_scores (q t : nat) : R := sum d (fun i => query_key q i * W_E M t i).
Definition position_scores (q p : nat) : R := sum d (fun i => query_key q i * W_pos M p i).

(** What the position [p] with the token [t] weighs for the query [q], up to one factor for each query. *)
Definition weight (q p t : nat) : R := exp ((token_scores q t + position_scores q p) / sqrt (INR h)).

(** What [y] gains on [m] where the attention is on token [t] at position [p], the margin included. *)
Definition gain (margin : R) (q m y p t : nat) : R :=
  (EUPU q y - EUPU q m) + (EVOU t y - EVOU t m) + (PVOU p y - PVOU p m) + margin.

Definition numerator (margin : R) (m y : nat) (t : list nat) : R :=
  let q := nth (k - 1) t 0%nat in
  sum k (fun p => weight q p (nth p t 0%nat) * gain margin q m y p (nth p t 0%nat)).

Variable t : list nat.
Hypothesis some : (0 < k)%nat.
Notation q := (nth (k - 1) t 0%nat).
Notation att := (attention M t (k - 1)).

Lemma all_seen : S (k - 1) = k.
Proof. lia. Qed.

Lemma attention_sums_to_1 : sum k att = 1.
Proof.
  unfold attention. rewrite all_seen.
  set (D := sum k (fun i => exp (score M t (k - 1) i))).
  assert (0 < D) by (apply sum_pos; [intros; apply exp_pos | exact some]).
  rewrite (sum_ext k _ (fun j => exp (score M t (k - 1) j) * / D)) by reflexivity.
  rewrite sum_scale_r. fold D. field. lra.
Qed.

Lemma values_of (p y : nat) :
  sum h (fun a => sum d (fun i => residual M t p i * W_V M i a) * OU a y) = EVOU (nth p t 0%nat) y + PVOU p y.
Proof.
  unfold EVOU, PVOU. rewrite <- sum_plus.
  rewrite (sum_ext h _ (fun a => sum d (fun i => residual M t p i * W_V M i a * OU a y)))
    by (intros; now rewrite <- sum_scale_r).
  rewrite sum_swap. apply sum_ext; intros i _. unfold OVU, residual.
  rewrite <- Rmult_plus_distr_r, <- sum_scale. apply sum_ext; intros; ring.
Qed.

Lemma mixed_values (a : nat) :
  mixed M t (k - 1) a =
  sum k (fun p => att p * sum d (fun i => residual M t p i * W_V M i a)) + b_V M a.
Proof.
  unfold mixed, linear. rewrite all_seen.
  rewrite (sum_ext k _ (fun p => att p * sum d (fun i => residual M t p i * W_V M i a) + att p * b_V M a))
    by (intros; ring).
  rewrite sum_plus, sum_scale_r, attention_sums_to_1. ring.
Qed.

(** The logits as a direct path and a mean over positions. *)
Lemma logit_by_paths (y : nat) :
  logit M t y = EUPU q y + sum k (fun p => att p * (EVOU (nth p t 0%nat) y + PVOU p y)).
Proof.
  unfold logit, after_attention.
  set (u p a := sum d (fun i => residual M t p i * W_V M i a)).
  rewrite (sum_ext d _ (fun i =>
    (query_residual q i * W_U M i y + value_bias i * W_U M i y)
    + sum h (fun a => sum k (fun p => att p * u p a) * (W_O M a i * W_U M i y)))).
  - rewrite sum_plus, sum_plus, sum_swap.
    rewrite (sum_ext h _ (fun a => sum k (fun p => att p * (u p a * OU a y)))).
    + rewrite sum_swap.
      rewrite (sum_ext k _ (fun p => att p * (EVOU (nth p t 0%nat) y + PVOU p y))).
      * unfold EUPU, direct_constant. ring.
      * intros p _. rewrite sum_scale. now rewrite <- values_of.
    + intros a _. rewrite sum_scale. fold (OU a y). rewrite <- sum_scale_r. apply sum_ext; intros; ring.
  - intros i _. unfold value_bias, query_residual.
    rewrite (sum_ext h (fun a => sum k (fun p => att p * u p a) * (W_O M a i * W_U M i y))
                       (fun a => sum k (fun p => att p * u p a) * W_O M a i * W_U M i y)) by (intros; ring).
    rewrite sum_scale_r.
    rewrite (sum_ext h (fun a => mixed M t (k - 1) a * W_O M a i)
                       (fun a => sum k (fun p => att p * u p a) * W_O M a i + b_V M a * W_O M a i))
      by (intros; rewrite mixed_values; unfold u; ring).
    rewrite sum_plus. unfold residual. ring.
Qed.

(** Scores split into a part of the token and one of the position; what [b_K] adds depends on the query alone. *)
Lemma score_splits (p : nat) :
  score M t (k - 1) p =
  (token_scores q (nth p t 0%nat) + position_scores q p) / sqrt (INR h)
  + sum h (fun a => queries q a * b_K M a) / sqrt (INR h).
Proof.
  unfold score. rewrite <- Rdiv_plus_distr. f_equal.
  unfold token_scores, position_scores. rewrite <- sum_plus.
  rewrite (sum_ext h _ (fun a => sum d (fun i => queries q a * W_K M i a * residual M t p i) + queries q a * b_K M a)).
  - rewrite sum_plus, sum_swap. f_equal. apply sum_ext; intros i _. rewrite sum_scale_r.
    fold (query_key q i). unfold residual. ring.
  - intros a _. unfold linear at 2. fold (queries q a). unfold linear.
    change (sum d (fun i => residual M t (k - 1) i * W_Q M i a) + b_Q M a) with (queries q a).
    rewrite Rmult_plus_distr_l, <- sum_scale. f_equal. apply sum_ext; intros; ring.
Qed.

Lemma separation (margin : R) (m y : nat) :
  logit M t y + margin < logit M t m <-> numerator margin m y t < 0.
Proof.
  set (D := sum k (fun i => exp (score M t (k - 1) i))).
  assert (0 < D) by (apply sum_pos; [intros; apply exp_pos | exact some]).
  set (c := exp (sum h (fun a => queries q a * b_K M a) / sqrt (INR h))).
  assert (0 < c) by apply exp_pos.
  assert (main : numerator margin m y t * (c / D) = logit M t y + margin - logit M t m).
  { rewrite (logit_by_paths y), (logit_by_paths m). unfold numerator.
    rewrite <- sum_scale_r.
    rewrite (sum_ext k _ (fun p =>
      (att p * (EVOU (nth p t 0%nat) y + PVOU p y) - att p * (EVOU (nth p t 0%nat) m + PVOU p m))
      + att p * (EUPU q y - EUPU q m + margin))).
    - rewrite sum_plus, sum_minus, sum_scale_r, attention_sums_to_1. ring.
    - intros p _. unfold weight, gain.
      assert (E : att p = exp ((token_scores q (nth p t 0%nat) + position_scores q p) / sqrt (INR h)) * (c / D)).
      { unfold attention. rewrite all_seen. fold D. rewrite score_splits, exp_plus. fold c. unfold Rdiv. ring. }
      rewrite E. ring. }
  assert (0 < c / D) by (apply Rdiv_lt_0_compat; lra).
  split; intros below.
  - apply (Rmult_lt_reg_r (c / D)); lra.
  - assert (numerator margin m y t * (c / D) < 0 * (c / D)) by now apply Rmult_lt_compat_r. lra.
Qed.
End Circuits.
