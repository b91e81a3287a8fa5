(** Integers in units of powers of two: shifts and quotients, rounded down or up. *)

From Coq Require Import Reals ZArith Lra Lia Rpower.
From Compact Require Import Spec.Model.
Open Scope R_scope.

(** ** Powers of two *)

Notation pow2 := (powerRZ 2).

Lemma pow2_pos : forall e, 0 < pow2 e.
Proof. intros. apply powerRZ_lt. lra. Qed.

Lemma pow2_add : forall a b, pow2 (a + b) = pow2 a * pow2 b.
Proof. intros. apply powerRZ_add. lra. Qed.

Lemma pow2_opp : forall a, pow2 a * pow2 (- a) = 1.
Proof. intros. rewrite <- pow2_add. replace (a + - a)%Z with 0%Z by lia. reflexivity. Qed.

Lemma pow2_IZR : forall e, (0 <= e)%Z -> IZR (2 ^ e) = pow2 e.
Proof.
  intros e natural. rewrite <- (Z2Nat.id e natural).
  rewrite <- pow_IZR, pow_powerRZ. reflexivity.
Qed.

Lemma pow2_exp : forall e, pow2 e = exp (IZR e * ln 2).
Proof. intros. rewrite powerRZ_Rpower by lra. reflexivity. Qed.

Lemma shiftl_1 : forall e, (0 <= e)%Z -> IZR (Z.shiftl 1 e) = pow2 e.
Proof. intros. rewrite Z.shiftl_mul_pow2, Z.mul_1_l by assumption. now apply pow2_IZR. Qed.

Lemma shiftl_real : forall n e, (0 <= e)%Z -> IZR (Z.shiftl n e) = IZR n * pow2 e.
Proof. intros. rewrite Z.shiftl_mul_pow2, mult_IZR, pow2_IZR by assumption. reflexivity. Qed.

(** ** Quotients *)

Definition quotient_up (a b : Z) : Z := (- (- a / b))%Z.

Lemma quotient_down_le : forall a b, (0 < b)%Z -> IZR (a / b) * IZR b <= IZR a.
Proof.
  intros. rewrite <- mult_IZR. apply IZR_le. rewrite Z.mul_comm. now apply Z.mul_div_le.
Qed.

Lemma quotient_up_ge : forall a b, (0 < b)%Z -> IZR a <= IZR (quotient_up a b) * IZR b.
Proof.
  intros a b positive. unfold quotient_up. rewrite <- mult_IZR. apply IZR_le.
  pose proof (Z.mul_div_le (- a) b positive). lia.
Qed.

(** ** Shifts: division by [2 ^ bits], or multiplication if [bits] is negative *)

Definition shift_down (n bits : Z) : Z := Z.shiftr n bits.
Definition shift_up (n bits : Z) : Z := (- Z.shiftr (- n) bits)%Z.

Lemma shift_down_le : forall n bits, IZR (shift_down n bits) <= IZR n * pow2 (- bits).
Proof.
  intros. unfold shift_down. destruct (Z.le_gt_cases 0 bits) as [right | left].
  - rewrite Z.shiftr_div_pow2 by assumption.
    assert (P : (0 < 2 ^ bits)%Z) by now apply Z.pow_pos_nonneg.
    pose proof (quotient_down_le n (2 ^ bits) P) as Q. rewrite (pow2_IZR bits right) in Q.
    pose proof (pow2_pos bits). pose proof (pow2_opp bits).
    apply Rmult_le_reg_r with (pow2 bits); [assumption|].
    rewrite Rmult_assoc, (Rmult_comm (pow2 (- bits))). replace (pow2 bits * pow2 (- bits)) with 1. lra.
  - rewrite Z.shiftr_mul_pow2 by lia. rewrite mult_IZR, pow2_IZR by lia. lra.
Qed.

Lemma shift_up_ge : forall n bits, IZR n * pow2 (- bits) <= IZR (shift_up n bits).
Proof.
  intros. unfold shift_up. pose proof (shift_down_le (- n) bits) as H. unfold shift_down in H.
  rewrite opp_IZR in *. pose proof (pow2_pos (- bits)). nra.
Qed.

(** What a rounding takes, or adds, is at most one unit. *)
Lemma shift_down_gt : forall n bits, IZR n * pow2 (- bits) <= IZR (shift_down n bits) + 1.
Proof.
  intros. unfold shift_down. destruct (Z.le_gt_cases 0 bits) as [right | left].
  - rewrite Z.shiftr_div_pow2 by assumption.
    assert (P : (0 < 2 ^ bits)%Z) by now apply Z.pow_pos_nonneg.
    pose proof (Z.mul_succ_div_gt n (2 ^ bits) P) as Q. apply IZR_lt in Q.
    rewrite mult_IZR, succ_IZR, pow2_IZR in Q by assumption.
    pose proof (pow2_pos bits). pose proof (pow2_opp bits).
    apply Rmult_le_reg_r with (pow2 bits); [assumption|].
    rewrite Rmult_assoc, (Rmult_comm (pow2 (- bits))). replace (pow2 bits * pow2 (- bits)) with 1. lra.
  - rewrite Z.shiftr_mul_pow2 by lia. rewrite mult_IZR, pow2_IZR by lia. lra.
Qed.

Lemma shift_up_lt : forall n bits, IZR (shift_up n bits) <= IZR n * pow2 (- bits) + 1.
Proof.
  intros. unfold shift_up. pose proof (shift_down_gt (- n) bits) as H. unfold shift_down in H.
  rewrite opp_IZR in *. pose proof (pow2_pos (- bits)). nra.
Qed.

Lemma quotient_up_lt : forall a b, (0 < b)%Z -> (IZR (quotient_up a b) - 1) * IZR b <= IZR a.
Proof.
  intros a b positive. unfold quotient_up. rewrite <- minus_IZR, <- mult_IZR. apply IZR_le.
  pose proof (Z.mul_succ_div_gt (- a) b positive). lia.
Qed.

Lemma shift_down_nonneg : forall n bits, (0 <= n)%Z -> (0 <= shift_down n bits)%Z.
Proof. intros. unfold shift_down. now apply Z.shiftr_nonneg. Qed.

Lemma shift_up_nonneg : forall n bits, (0 <= n)%Z -> (0 <= shift_up n bits)%Z.
Proof.
  intros n bits natural. apply le_IZR. apply Rle_trans with (IZR n * pow2 (- bits)); [|apply shift_up_ge].
  apply Rmult_le_pos; [now apply (IZR_le 0) | apply Rlt_le, pow2_pos].
Qed.

Definition bit_length (n : Z) : Z := if (n =? 0)%Z then 0%Z else (Z.log2 (Z.abs n) + 1)%Z.

Lemma bit_length_nonneg : forall n, (0 <= bit_length n)%Z.
Proof. intros. unfold bit_length. pose proof (Z.log2_nonneg (Z.abs n)). destruct (n =? 0)%Z; lia. Qed.
