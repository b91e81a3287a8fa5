(** rules.md, "Exponentials of scores": exp(-x / sqrt(s)) for all x between two integers times a power of two, and a fraction s. *)

From Coq Require Import Reals ZArith List Lra Lia.
From Compact Require Import Spec.Model Integer.Dyadic Real.Exp Real.ScaledExp.
Import ListNotations.
Open Scope R_scope.

(** Of the scale: the root's ends and those of ln 2. *)
Record scaling := Scaling { squared : Z * Z; precision : Z; known : list (Z * ((Z * Z) * (Z * Z))) }.

Definition ends_of (squared : Z * Z) (scale : Z) : (Z * Z) * (Z * Z) := (inverse_root (fst squared) (snd squared) scale, ln2_enclosure scale).

(** Few scales occur. *)
Definition scaling_of (squared : Z * Z) (bits : Z) : scaling :=
  {| squared := squared; precision := bits;
     known := map (fun j => let scale := (bits + 16 + Z.shiftl 1 j)%Z in (scale, ends_of squared scale)) [0; 1; 2; 3; 4; 5; 6]%Z |}.

Definition recalled (s : scaling) (scale : Z) : (Z * Z) * (Z * Z) :=
  match find (fun one => Z.eqb (fst one) scale) (known s) with Some one => snd one | None => ends_of (squared s) scale end.

Definition right_scaling (s : scaling) : Prop := Forall (fun one => snd one = ends_of (squared s) (fst one)) (known s).

Lemma scaling_of_right : forall squared bits, right_scaling (scaling_of squared bits).
Proof. intros. unfold right_scaling, scaling_of. cbn [known General.Exponentials.squared]. repeat constructor. Qed.

Lemma recalled_right : forall s scale, right_scaling s -> recalled s scale = ends_of (squared s) scale.
Proof.
  intros s scale right. unfold recalled. destruct (find _ (known s)) as [one|] eqn:F; [|reflexivity].
  apply find_some in F. destruct F as [I E]. apply Z.eqb_eq in E. subst scale.
  unfold right_scaling in right. rewrite Forall_forall in right. now apply right.
Qed.

(** Nothing if the ends are so far apart that one weight could be [2 ^ -bits] of another. *)
Definition exp_between (s : scaling) (exponent lower upper : Z) : option power :=
  let bits := precision s in
  let doubt := (bit_length (upper - lower) + exponent - (bit_length (fst (squared s)) - bit_length (snd (squared s))) / 2)%Z in
  if ((lower <? upper) && (bit_length bits + 4 <? doubt))%bool%Z then None else
  let size := Z.max (bit_length (Z.max (Z.abs lower) (Z.abs upper)) + exponent) 0 in
  let scale := (bits + 16 + Z.shiftl 1 (bit_length size))%Z in
  let '((root_low, root_high), (ln2_low, ln2_high)) := recalled s scale in
  let least := shift_down (lower * (if (0 <=? lower)%Z then root_low else root_high)) (- exponent) in
  let most := shift_up (upper * (if (0 <=? upper)%Z then root_high else root_low)) (- exponent) in
  let (for_low, for_high) := if (0 <=? least)%Z then (ln2_low, ln2_high) else (ln2_high, ln2_low) in
  let halved := (least / for_high)%Z in
  let left := (least - halved * for_high)%Z in
  if (for_high <=? 0)%Z then None else
  Some {| low := Z.max 0 (exp_lower (most - halved * for_low) scale bits); high := exp_upper left scale bits; shift := halved |}.

Theorem exp_between_encloses : forall s exponent lower upper a x,
  right_scaling s -> (0 < fst (squared s))%Z -> (0 < snd (squared s))%Z -> (0 <= precision s)%Z ->
  exp_between s exponent lower upper = Some a ->
  IZR lower * pow2 exponent <= x <= IZR upper * pow2 exponent ->
  encloses (precision s) a (exp (- (x / sqrt (IZR (fst (squared s)) / IZR (snd (squared s)))))).
Proof.
  intros s exponent lower upper a x right above below B E X. unfold exp_between in E.
  destruct (_ && _)%bool; [discriminate|].
  set (scale := (precision s + 16 + Z.shiftl 1 _)%Z) in E.
  assert (S : (0 <= scale)%Z).
  { unfold scale. assert (0 <= Z.shiftl 1 (bit_length (Z.max (bit_length (Z.max (Z.abs lower) (Z.abs upper)) + exponent) 0)))%Z by (apply Z.shiftl_nonneg; lia). lia. }
  rewrite recalled_right in E by assumption. unfold ends_of in E.
  pose proof (inverse_root_encloses _ _ scale above below S) as [root_lo root_hi].
  pose proof (ln2_enclosed scale S) as [[ln_lo ln_hi] _].
  destruct (inverse_root _ _ scale) as [rl rh]. destruct (ln2_enclosure scale) as [ll lh]. cbn [fst snd] in *.
  set (q := / sqrt (IZR (fst (squared s)) / IZR (snd (squared s)))) in *.
  set (least := shift_down _ (- exponent)) in E. set (most := shift_up _ (- exponent)) in E.
  pose proof (pow2_pos exponent) as P. pose proof (pow2_pos (- scale)) as unit.
  assert (Q : 0 < q).
  { apply Rinv_0_lt_compat, sqrt_lt_R0, Rdiv_lt_0_compat; now apply IZR_lt. }
  assert (lo : IZR least * pow2 (- scale) <= x * q).
  { apply Rle_trans with (IZR lower * pow2 exponent * q); [|apply Rmult_le_compat_r; lra].
    unfold least. destruct (0 <=? lower)%Z eqn:sign.
    - apply Z.leb_le, (IZR_le 0) in sign.
      apply Rle_trans with (IZR (lower * rl) * pow2 (- - exponent) * pow2 (- scale)); [apply Rmult_le_compat_r; [lra | apply shift_down_le]|].
      rewrite Z.opp_involutive, mult_IZR. replace (IZR lower * IZR rl * pow2 exponent * pow2 (- scale)) with (IZR lower * pow2 exponent * (IZR rl * pow2 (- scale))) by ring.
      apply Rmult_le_compat_l; [apply Rmult_le_pos; lra | assumption].
    - apply Z.leb_gt, IZR_lt in sign.
      apply Rle_trans with (IZR (lower * rh) * pow2 (- - exponent) * pow2 (- scale)); [apply Rmult_le_compat_r; [lra | apply shift_down_le]|].
      rewrite Z.opp_involutive, mult_IZR. replace (IZR lower * IZR rh * pow2 exponent * pow2 (- scale)) with (IZR lower * pow2 exponent * (IZR rh * pow2 (- scale))) by ring.
      assert (IZR lower * pow2 exponent <= 0) by nra. nra. }
  assert (hi : x * q <= IZR most * pow2 (- scale)).
  { apply Rle_trans with (IZR upper * pow2 exponent * q); [apply Rmult_le_compat_r; lra|].
    unfold most. destruct (0 <=? upper)%Z eqn:sign.
    - apply Z.leb_le, (IZR_le 0) in sign.
      apply Rle_trans with (IZR (upper * rh) * pow2 (- - exponent) * pow2 (- scale)); [|apply Rmult_le_compat_r; [lra | apply shift_up_ge]].
      rewrite Z.opp_involutive, mult_IZR. replace (IZR upper * IZR rh * pow2 exponent * pow2 (- scale)) with (IZR upper * pow2 exponent * (IZR rh * pow2 (- scale))) by ring.
      apply Rmult_le_compat_l; [apply Rmult_le_pos; lra | assumption].
    - apply Z.leb_gt, IZR_lt in sign.
      apply Rle_trans with (IZR (upper * rl) * pow2 (- - exponent) * pow2 (- scale)); [|apply Rmult_le_compat_r; [lra | apply shift_up_ge]].
      rewrite Z.opp_involutive, mult_IZR. replace (IZR upper * IZR rl * pow2 exponent * pow2 (- scale)) with (IZR upper * pow2 exponent * (IZR rl * pow2 (- scale))) by ring.
      assert (IZR upper * pow2 exponent <= 0) by nra. nra. }
  clearbody least most. fold (x / sqrt (IZR (fst (squared s)) / IZR (snd (squared s)))).
  change (x / sqrt (IZR (fst (squared s)) / IZR (snd (squared s)))) with (x * q). clearbody q.
  set (ends := if (0 <=? least)%Z then (ll, lh) else (lh, ll)) in E.
  assert (rest : forall n fl fh, ends = (fl, fh) -> n = (least / fh)%Z -> (0 < fh)%Z ->
    IZR (least - n * fh) * pow2 (- scale) <= x * q - IZR n * ln 2 <= IZR (most - n * fl) * pow2 (- scale)).
  { intros n fl fh Ee En left. rewrite !minus_IZR, !mult_IZR. subst ends.
    destruct (0 <=? least)%Z eqn:sign; injection Ee as <- <-.
    - apply Z.leb_le in sign. assert (N : (0 <= n)%Z) by (subst n; now apply Z.div_pos). apply (IZR_le 0) in N. nra.
    - apply Z.leb_gt in sign. assert (N : (n <= 0)%Z) by (subst n; apply Z.div_le_upper_bound; lia). apply (IZR_le _ 0) in N. nra. }
  destruct ends as [fl fh]. destruct (_ <=? 0)%Z eqn:sign; [discriminate|]. injection E as <-. apply Z.leb_gt in sign.
  assert (left : (0 <= least - least / fh * fh)%Z) by (pose proof (Z.mul_div_le least fh sign); lia).
  specialize (rest _ _ _ eq_refl eq_refl sign). set (n := (least / fh)%Z) in *.
  assert (split : exp (- (x * q)) = exp (- (x * q - IZR n * ln 2)) * pow2 (- n)).
  { rewrite pow2_exp, opp_IZR, <- exp_plus. f_equal. ring. }
  pose proof (pow2_pos (- n)) as n_pos.
  assert (units : forall m, IZR m * pow2 (- (precision s + n)) = IZR m * pow2 (- precision s) * pow2 (- n)).
  { intros. rewrite Rmult_assoc, <- pow2_add. repeat f_equal. lia. }
  split; cbn [low high shift]; [apply Z.le_max_l|]. rewrite !units, split. split.
  - apply Rmult_le_compat_r; [lra|].
    destruct (Z.max_spec 0 (exp_lower (most - n * fl) scale (precision s))) as [[_ ->] | [_ ->]].
    + apply exp_lower_le; [assumption | lra].
    + rewrite Rmult_0_l. apply Rlt_le, exp_pos.
  - apply Rmult_le_compat_r; [lra|]. apply exp_upper_ge; try assumption. lra.
Qed.
