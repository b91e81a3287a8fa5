(** rules.md, attention_ranges: the attention on the positions that hold the maximum, as a share of two sums. *)

From Coq Require Import Reals ZArith List Lra Lia Arith.
From Compact Require Import Spec.Model Real.Sums Real.Separation Integer.Dyadic Facts.
Open Scope R_scope.

Section Share.
Variables (M : model) (t : list nat).
Hypothesis some : (0 < n_ctx M)%nat.
Notation k := (n_ctx M).
Notation q := (query M t).
Notation m := (label t).
Notation token := (fun p => nth p t 0%nat).
Notation of_position := (fun p => exp (position_scores M q p / sqrt (INR (d_head M)))).
Notation of_token := (fun x => exp (token_scores M q x / sqrt (INR (d_head M)))).

Definition if_label (yes no : R) (p : nat) : R := if Nat.eqb (token p) m then yes else no.

Lemma weight_product : forall p x, weight M q p x = of_position p * of_token x.
Proof. intros p x. unfold weight. rewrite <- exp_plus. f_equal. unfold Rdiv. ring. Qed.

Lemma attention_weight : forall p, attention M t (k - 1) p = weight M q p (token p) / sum k (fun p => weight M q p (token p)).
Proof.
  intros p. unfold attention. replace (S (k - 1)) with k by lia.
  set (c := exp (sum (d_head M) (fun a => Separation.queries M q a * b_K M a) / sqrt (INR (d_head M)))).
  assert (E : forall i, exp (score M t (k - 1) i) = weight M q i (token i) * c).
  { intros i. rewrite score_splits, exp_plus. reflexivity. }
  rewrite (sum_ext k (fun i => exp (score M t (k - 1) i)) (fun i => weight M q i (token i) * c)) by (intros; apply E).
  rewrite E, sum_scale_r. assert (0 < c) by apply exp_pos.
  assert (0 < sum k (fun p => weight M q p (token p))) by (apply sum_pos; [intros; apply exp_pos | exact some]).
  field. lra.
Qed.

Definition own : R := sum k (fun p => if_label (of_position p) 0 p).
Definition beside : R := sum k (fun p => if_label 0 (of_position p) p).
Definition of_others : R := sum k (fun p => if_label 0 (weight M q p (token p)) p).

Lemma attention_share : attention_on_label M t = own * of_token m / (own * of_token m + of_others).
Proof.
  unfold attention_on_label.
  set (W := sum k (fun p => weight M q p (token p))).
  assert (W_pos : 0 < W) by (apply sum_pos; [intros; apply exp_pos | exact some]).
  assert (split : W = own * of_token m + of_others).
  { unfold W, own, of_others. rewrite <- sum_scale_r, <- sum_plus. apply sum_ext. intros p _. unfold if_label.
    destruct (Nat.eqb (token p) m) eqn:E; [apply Nat.eqb_eq in E; rewrite weight_product, E; ring | ring]. }
  rewrite <- split. unfold own, Rdiv. rewrite <- !sum_scale_r. apply sum_ext. intros p _. unfold if_label.
  destruct (Nat.eqb (token p) m) eqn:E; [|ring]. apply Nat.eqb_eq in E. rewrite attention_weight, weight_product, E. fold W.
  unfold W. reflexivity.
Qed.

(** All other tokens are from [exp(-far)] to [exp(-near)] times as heavy as the label. *)
Lemma others_between : forall low high, (forall p, (p < k)%nat -> token p <> m -> low * of_token m <= of_token (token p) <= high * of_token m) ->
  beside * (low * of_token m) <= of_others <= beside * (high * of_token m).
Proof.
  intros low high each. unfold beside, of_others. rewrite <- !sum_scale_r. split; apply sum_le; intros p P; unfold if_label;
    (destruct (Nat.eqb (token p) m) eqn:E; [right; ring|]); apply Nat.eqb_neq in E; destruct (each p P E) as [lo hi];
    rewrite weight_product; (apply Rmult_le_compat_l; [apply Rlt_le, exp_pos | assumption]).
Qed.

Lemma of_others_nonneg : 0 <= of_others.
Proof.
  apply sum_nonneg. intros p _. unfold if_label. destruct (Nat.eqb (token p) m); [lra | apply Rlt_le, exp_pos].
Qed.
End Share.

(** ** Quotients of integers that are on the safe side of a share *)

Lemma share_below : forall P R bits p r, (0 <= P)%Z -> (0 <= R)%Z -> (0 <= bits)%Z -> IZR P <= p -> 0 <= r <= IZR R -> 0 < p + r ->
  IZR (Z.shiftl P bits / (P + R)) <= p / (p + r) * pow2 bits.
Proof.
  intros P R bits p r HP HR Hb Pp Rr positive. pose proof (pow2_pos bits) as B.
  apply (IZR_le 0) in HP as HP'. apply (IZR_le 0) in HR as HR'.
  assert (share_nonneg : 0 <= p / (p + r)) by (apply Rmult_le_pos; [lra | apply Rlt_le, Rinv_0_lt_compat; lra]).
  destruct (Z.eq_dec (P + R) 0) as [zero|nonzero]; [rewrite zero, Zdiv_0_r; apply Rmult_le_pos; lra|].
  assert (S : (0 < P + R)%Z) by lia. pose proof (quotient_down_le (Z.shiftl P bits) (P + R) S) as Q.
  rewrite shiftl_real, plus_IZR in Q by assumption. apply IZR_lt in S. rewrite plus_IZR in S.
  set (x := IZR (Z.shiftl P bits / (P + R))) in *.
  apply Rmult_le_reg_r with (IZR P + IZR R); [lra|]. apply Rle_trans with (1 := Q).
  apply Rmult_le_reg_r with (p + r); [assumption|].
  replace (p / (p + r) * pow2 bits * (IZR P + IZR R) * (p + r)) with (p * (IZR P + IZR R) * pow2 bits) by (field; lra).
  replace (IZR P * pow2 bits * (p + r)) with (IZR P * (p + r) * pow2 bits) by ring.
  apply Rmult_le_compat_r; [lra|]. rewrite !Rmult_plus_distr_l. apply Rplus_le_compat; [lra|]. apply Rmult_le_compat; lra.
Qed.

Lemma share_above : forall P R bits p r, (0 <= R)%Z -> (0 <= bits)%Z -> 0 < p <= IZR P -> IZR R <= r ->
  p / (p + r) * pow2 bits <= IZR (quotient_up (Z.shiftl P bits) (P + R)).
Proof.
  intros P R bits p r HR Hb Pp Rr. pose proof (pow2_pos bits) as B. apply (IZR_le 0) in HR as HR'.
  assert (S : (0 < P + R)%Z) by (assert (0 < P)%Z by (apply lt_IZR; lra); lia).
  pose proof (quotient_up_ge (Z.shiftl P bits) (P + R) S) as Q.
  rewrite shiftl_real, plus_IZR in Q by assumption. apply IZR_lt in S. rewrite plus_IZR in S.
  set (x := IZR (quotient_up _ _)) in *.
  apply Rmult_le_reg_r with (IZR P + IZR R); [lra|]. apply Rle_trans with (2 := Q).
  apply Rmult_le_reg_r with (p + r); [lra|].
  replace (p / (p + r) * pow2 bits * (IZR P + IZR R) * (p + r)) with (p * (IZR P + IZR R) * pow2 bits) by (field; lra).
  replace (IZR P * pow2 bits * (p + r)) with (IZR P * (p + r) * pow2 bits) by ring.
  apply Rmult_le_compat_r; [lra|]. rewrite !Rmult_plus_distr_l. apply Rplus_le_compat; [lra|]. apply Rmult_le_compat; lra.
Qed.
