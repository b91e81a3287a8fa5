(** rules.md, Lemmas 6 and 11: bounds on the mean of a head from sums of integers. *)

From Coq Require Import Reals ZArith List Lra Lia Arith Bool.
From Compact Require Import Spec.Model Spec.General Real.Sums Integer.Dyadic Real.ScaledExp General.Heads General.Balls.
Import ListNotations.
Open Scope R_scope.

(** At least a weight between the ends times what a gain is above [less]. *)
Definition worst (less gain : Z) (ends : Z * Z) : Z := let above := (gain - less)%Z in (above * (if 0 <=? above then snd ends else fst ends))%Z.

(** At least [z / x] for every x from [least] to [most]. *)
Definition share (least most z : Z) : Z := quotient_up z (if (0 <=? z)%Z then least else most).

Lemma worst_ge : forall unit ends w less gain g, between unit ends w -> g <= IZR gain ->
  w * unit * (g - IZR less) <= IZR (worst less gain ends).
Proof.
  intros unit [lo hi] w less gain g [natural [low high]] G. cbn [fst snd] in *. unfold worst. cbn [fst snd].
  apply (IZR_le 0) in natural. rewrite mult_IZR. set (a := (gain - less)%Z).
  assert (A : g - IZR less <= IZR a) by (unfold a; rewrite minus_IZR; lra).
  apply Rle_trans with (w * unit * IZR a); [apply Rmult_le_compat_l; lra|].
  rewrite Rmult_comm. destruct (0 <=? a)%Z eqn:sign.
  - apply Z.leb_le, (IZR_le 0) in sign. nra.
  - apply Z.leb_gt, IZR_lt in sign. nra.
Qed.

Lemma share_ge : forall least most z v x, (0 < least)%Z -> IZR least <= x <= IZR most -> v <= IZR z -> v / x <= IZR (share least most z).
Proof.
  intros least most z v x positive X V. apply IZR_lt in positive as P. unfold share.
  apply Rle_trans with (IZR z / x); [unfold Rdiv; apply Rmult_le_compat_r; [apply Rlt_le, Rinv_0_lt_compat; lra | exact V]|].
  destruct (0 <=? z)%Z eqn:sign.
  - apply Z.leb_le, (IZR_le 0) in sign. pose proof (quotient_up_ge z least positive) as Q.
    apply Rmult_le_reg_r with x; [lra|]. unfold Rdiv. rewrite Rmult_assoc, Rinv_l, Rmult_1_r by lra.
    assert (0 <= IZR (quotient_up z least)).
    { destruct (Rle_or_lt 0 (IZR (quotient_up z least))); [assumption|]. exfalso. nra. }
    nra.
  - apply Z.leb_gt, IZR_lt in sign. assert (M : (0 < most)%Z) by (apply lt_IZR; lra). pose proof (quotient_up_ge z most M) as Q.
    apply IZR_lt in M. apply Rmult_le_reg_r with x; [lra|]. unfold Rdiv. rewrite Rmult_assoc, Rinv_l, Rmult_1_r by lra.
    destruct (Rle_or_lt 0 (IZR (quotient_up z most))); [nra|]. nra.
Qed.

Section OneHead.
Variables (L : layer) (x : list nat) (r : nat) (bits : Z) (H : head).
Notation at_ p := (nth p x 0%nat).
Notation seen := (visible L x r).
Hypothesis some : (0 < seen)%nat.
Variables (unit : R) (ends : nat -> nat -> Z * Z) (gain : nat -> nat -> Z) (g : nat -> nat -> R).
Hypothesis unit_pos : 0 < unit.
Hypothesis enclosed : forall p, (p < seen)%nat -> between unit (ends p (at_ p)) (weighs L H r (at_ r) p (at_ p)).
Hypothesis gains : forall p, (p < seen)%nat -> g p (at_ p) * pow2 bits <= IZR (gain p (at_ p)).

Notation w p := (weighs L H r (at_ r) p (at_ p)).
Notation D := (denominator L x r H).

Lemma scaled_mean : mean_of L x r H g * pow2 bits = sum seen (fun p => w p * (g p (at_ p) * pow2 bits)) / D.
Proof.
  unfold mean_of, Rdiv. rewrite (sum_ext seen (fun p => w p * (g p (at_ p) * pow2 bits)) (fun p => w p * g p (at_ p) * pow2 bits)) by (intros; ring).
  rewrite sum_scale_r. ring.
Qed.

Lemma denominator_ends : sum seen (fun p => IZR (fst (ends p (at_ p)))) <= D * unit <= sum seen (fun p => IZR (snd (ends p (at_ p)))).
Proof. unfold denominator. rewrite <- sum_scale_r. split; apply sum_le; intros p P; apply enclosed; exact P. Qed.

(** All terms less a bound. *)
Lemma above_bound : forall less,
  (mean_of L x r H g * pow2 bits - IZR less) * (D * unit) <= sum seen (fun p => IZR (worst less (gain p (at_ p)) (ends p (at_ p)))).
Proof.
  intros less. pose proof (denominator_pos L x r some H) as positive. rewrite scaled_mean.
  apply Rle_trans with (sum seen (fun p => w p * unit * (g p (at_ p) * pow2 bits - IZR less))).
  - right. unfold Rdiv. rewrite Rmult_minus_distr_r.
    rewrite (sum_ext seen (fun p => w p * unit * (g p (at_ p) * pow2 bits - IZR less)) (fun p => w p * (g p (at_ p) * pow2 bits) * unit - w p * (unit * IZR less))) by (intros; ring).
    rewrite sum_minus, !sum_scale_r. change (sum seen (fun p => w p)) with D. field. lra.
  - apply sum_le. intros p P. apply worst_ge; [apply enclosed | apply gains]; exact P.
Qed.

(** Lemma 6. *)
Theorem mean_below : forall bound, sum seen (fun p => IZR (worst bound (gain p (at_ p)) (ends p (at_ p)))) <= 0 ->
  mean_of L x r H g * pow2 bits <= IZR bound.
Proof.
  intros bound below. pose proof (denominator_pos L x r some H) as positive. pose proof (above_bound bound).
  assert (0 < D * unit) by nra. destruct (Rle_or_lt (mean_of L x r H g * pow2 bits) (IZR bound)); [assumption|]. exfalso. nra.
Qed.

(** Lemma 11, of one head. *)
Theorem reaches_alone : forall K, 0 <= IZR K + mean_of L x r H g * pow2 bits ->
  0 <= sum seen (fun p => IZR (worst (- K) (gain p (at_ p)) (ends p (at_ p)))).
Proof.
  intros K reached. pose proof (denominator_pos L x r some H) as positive. apply Rle_trans with (2 := above_bound (- K)).
  rewrite opp_IZR. apply Rmult_le_pos; nra.
Qed.

(** Lemma 11, of one head of several. *)
Theorem mean_shared : forall mean least most, (0 < least)%Z -> IZR least <= D * unit <= IZR most ->
  mean_of L x r H g * pow2 bits - IZR mean <= sum seen (fun p => IZR (share least most (worst mean (gain p (at_ p)) (ends p (at_ p))))).
Proof.
  intros mean least most L_pos between_. pose proof (denominator_pos L x r some H) as positive. apply IZR_lt in L_pos as L_pos'.
  rewrite scaled_mean.
  apply Rle_trans with (sum seen (fun p => w p * unit * (g p (at_ p) * pow2 bits - IZR mean) / (D * unit))).
  - right. unfold Rdiv. rewrite sum_scale_r.
    rewrite (sum_ext seen (fun p => w p * unit * (g p (at_ p) * pow2 bits - IZR mean)) (fun p => w p * (g p (at_ p) * pow2 bits) * unit - w p * (unit * IZR mean))) by (intros; ring).
    rewrite sum_minus, !sum_scale_r. change (sum seen (fun p => w p)) with D. field. split; lra.
  - apply sum_le. intros p P. apply share_ge; [exact L_pos | exact between_|]. apply worst_ge; [apply enclosed | apply gains]; exact P.
Qed.
End OneHead.
