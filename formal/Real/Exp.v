(** rules.md, "Enclosures": the exponential and the square root between integers, every step rounded outward. *)

From Coq Require Import Reals ZArith Lra Lia R_sqrt.
From Compact Require Import Spec.Model Integer.Dyadic Real.ExpSeries.
Open Scope R_scope.

(** ** The series, upwards and downwards; any stopping point is sound *)

(** [total + term], where both are rounded up. *)
Fixpoint series_up (fuel : nat) (z work index term total : Z) : Z :=
  match fuel with
  | O => (total + term)%Z
  | S fuel' =>
      if (term <=? 1)%Z then (total + term)%Z
      else let term' := quotient_up (term * z) (Z.shiftl (index + 1) work) in
           series_up fuel' z work (index + 1) term' (total + term')
  end.

(** [total], rounded down. *)
Fixpoint series_down (fuel : nat) (z work index term total : Z) : Z :=
  match fuel with
  | O => total
  | S fuel' =>
      if (term <=? 0)%Z then total
      else let term' := (term * z / Z.shiftl (index + 1) work)%Z in
           series_down fuel' z work (index + 1) term' (total + term')
  end.

Fixpoint squared (times : nat) (round : Z -> Z -> Z) (work value : Z) : Z :=
  match times with O => value | S n => squared n round work (round (value * value)%Z work) end.

Definition halvings (x scale : Z) : Z := (Z.max 0 (bit_length x - scale) + 8)%Z.

(** More steps than the series takes: each makes a term 2^8 times smaller. *)
Definition fuel (work : Z) : nat := Z.to_nat (Z.shiftr work 2 + 8).

(** At most [exp(-x / 2^scale) * 2^bits]. *)
Definition exp_lower (x scale bits : Z) : Z :=
  let count := halvings x scale in
  let work := (bits + count + 16)%Z in
  let one := Z.shiftl 1 work in
  let z := shift_up x (scale + count - work) in
  if ((0 <=? z) && (2 * z <=? one))%bool%Z
  then shift_down (squared (Z.to_nat count) shift_down work
         (Z.shiftl one work / series_up (fuel work) z work 0 one one)) (work - bits)
  else 0%Z.

(** At least [exp(-x / 2^scale) * 2^bits], for [x >= 0]. *)
Definition exp_upper (x scale bits : Z) : Z :=
  let count := halvings x scale in
  let work := (bits + count + 16)%Z in
  let one := Z.shiftl 1 work in
  let z := shift_down x (scale + count - work) in
  shift_up (squared (Z.to_nat count) shift_up work
    (quotient_up (Z.shiftl one work) (series_down (fuel work) z work 0 one one))) (work - bits).

Section Series.
Variables (work z : Z) (r : R).
Hypothesis natural : (0 <= work)%Z.
Hypothesis z_natural : (0 <= z)%Z.
Hypothesis value : IZR z = r * pow2 work.

Let one_pos : 0 < pow2 work := pow2_pos work.

Lemma r_nonneg : 0 <= r.
Proof.
  assert (0 <= r * pow2 work) by (rewrite <- value; now apply (IZR_le 0)).
  apply Rmult_le_reg_r with (pow2 work); [assumption | lra].
Qed.

Lemma divisor_of : forall index, IZR (Z.shiftl (index + 1) work) = (IZR index + 1) * pow2 work.
Proof. intros. rewrite shiftl_real, plus_IZR by assumption. reflexivity. Qed.

Lemma divisor_pos : forall n, (0 < Z.shiftl (Z.of_nat n + 1) work)%Z.
Proof.
  intros. apply lt_IZR. rewrite divisor_of, <- INR_IZR_INZ.
  apply Rmult_lt_0_compat; [pose proof (pos_INR n); lra | assumption].
Qed.

Lemma next_up : forall n t, pow2 work * term r n <= IZR t ->
  pow2 work * term r (S n) <= IZR (quotient_up (t * z) (Z.shiftl (Z.of_nat n + 1) work)).
Proof.
  intros n t above. pose proof (quotient_up_ge (t * z) _ (divisor_pos n)) as Q.
  rewrite mult_IZR, value, divisor_of, <- INR_IZR_INZ in Q.
  pose proof (term_S r n) as E. rewrite S_INR in E. pose proof r_nonneg.
  set (T := IZR (quotient_up _ _)) in *.
  assert (0 < INR n + 1) by (pose proof (pos_INR n); lra).
  apply Rmult_le_reg_r with ((INR n + 1) * pow2 work); [now apply Rmult_lt_0_compat|].
  apply Rle_trans with (IZR t * (r * pow2 work)); [|exact Q].
  replace (pow2 work * term r (S n) * ((INR n + 1) * pow2 work))
    with (pow2 work * term r n * (r * pow2 work)) by (rewrite <- Rmult_assoc; nra).
  apply Rmult_le_compat_r; [apply Rmult_le_pos; lra | exact above].
Qed.

Lemma next_down : forall n t, IZR t <= pow2 work * term r n ->
  IZR (t * z / Z.shiftl (Z.of_nat n + 1) work) <= pow2 work * term r (S n).
Proof.
  intros n t below. pose proof (quotient_down_le (t * z) _ (divisor_pos n)) as Q.
  rewrite mult_IZR, value, divisor_of, <- INR_IZR_INZ in Q.
  pose proof (term_S r n) as E. rewrite S_INR in E. pose proof r_nonneg.
  set (T := IZR (t * z / _)) in *.
  assert (0 < INR n + 1) by (pose proof (pos_INR n); lra).
  apply Rmult_le_reg_r with ((INR n + 1) * pow2 work); [now apply Rmult_lt_0_compat|].
  apply Rle_trans with (IZR t * (r * pow2 work)); [exact Q|].
  replace (pow2 work * term r (S n) * ((INR n + 1) * pow2 work))
    with (pow2 work * term r n * (r * pow2 work)) by (rewrite <- Rmult_assoc; nra).
  apply Rmult_le_compat_r; [apply Rmult_le_pos; lra | exact below].
Qed.

Lemma series_up_ge : r <= 1 / 2 -> forall steps n t total,
  pow2 work * term r n <= IZR t -> pow2 work * partial r n <= IZR total ->
  pow2 work * exp r <= IZR (series_up steps z work (Z.of_nat n) t total).
Proof.
  intros small. pose proof r_nonneg.
  assert (stop : forall n t total, pow2 work * term r n <= IZR t -> pow2 work * partial r n <= IZR total ->
    pow2 work * exp r <= IZR (total + t)).
  { intros n t total T S. rewrite plus_IZR.
    apply Rle_trans with (pow2 work * (partial r n + term r n)).
    - apply Rmult_le_compat_l; [lra | apply exp_le_partial; lra].
    - rewrite Rmult_plus_distr_l. lra. }
  induction steps as [|steps IH]; intros n t total T S; cbn [series_up]; [eauto|].
  destruct (t <=? 1)%Z; [eauto|].
  replace (Z.of_nat n + 1)%Z with (Z.of_nat (Datatypes.S n)) by lia.
  apply IH; replace (Z.of_nat (Datatypes.S n)) with (Z.of_nat n + 1)%Z by lia.
  - now apply next_up.
  - rewrite plus_IZR, partial_S, Rmult_plus_distr_l. pose proof (next_up n t T). lra.
Qed.

Lemma series_down_le : forall steps n t total, (0 <= t)%Z ->
  IZR t <= pow2 work * term r n -> IZR total <= pow2 work * partial r n ->
  IZR total <= IZR (series_down steps z work (Z.of_nat n) t total) <= pow2 work * exp r.
Proof.
  pose proof r_nonneg.
  assert (stop : forall n total, IZR total <= pow2 work * partial r n ->
    IZR total <= IZR total <= pow2 work * exp r).
  { intros n total S. split; [lra|]. apply Rle_trans with (1 := S).
    apply Rmult_le_compat_l; [lra | now apply exp_ge_partial]. }
  induction steps as [|steps IH]; intros n t total P T S; cbn [series_down]; [eauto|].
  destruct (t <=? 0)%Z; [eauto|].
  assert (P' : (0 <= t * z / Z.shiftl (Z.of_nat n + 1) work)%Z).
  { apply Z.div_pos; [now apply Z.mul_nonneg_nonneg | apply divisor_pos]. }
  pose proof (next_down n t T) as T'.
  assert (S' : IZR (total + t * z / Z.shiftl (Z.of_nat n + 1) work) <= pow2 work * partial r (Datatypes.S n)).
  { rewrite plus_IZR, partial_S, Rmult_plus_distr_l. lra. }
  replace (Z.of_nat n + 1)%Z with (Z.of_nat (Datatypes.S n)) in * by lia.
  destruct (IH _ _ _ P' T' S') as [more less]. split; [|exact less].
  apply Rle_trans with (2 := more). rewrite plus_IZR. apply (IZR_le 0) in P'. lra.
Qed.
End Series.

(** ** Squaring *)

Fixpoint power_2 (times : nat) (r : R) : R := match times with O => r | S n => power_2 n (r * r) end.

Lemma squared_down : forall times work v r, (0 <= v)%Z -> IZR v <= r * pow2 work ->
  IZR (squared times shift_down work v) <= power_2 times r * pow2 work.
Proof.
  induction times as [|n IH]; intros work v r P below; cbn [squared power_2]; [exact below|].
  apply IH; [apply shift_down_nonneg; now apply Z.mul_nonneg_nonneg|].
  apply Rle_trans with (1 := shift_down_le _ _). rewrite mult_IZR.
  apply (IZR_le 0) in P. pose proof (pow2_pos work). pose proof (pow2_pos (- work)).
  replace (r * r * pow2 work) with ((r * pow2 work) * (r * pow2 work) * pow2 (- work)).
  - apply Rmult_le_compat_r; [lra|]. now apply Rmult_le_compat.
  - pose proof (pow2_opp work) as E.
    replace (r * pow2 work * (r * pow2 work) * pow2 (- work)) with (r * r * pow2 work * (pow2 work * pow2 (- work))) by ring.
    rewrite E. ring.
Qed.

Lemma squared_up : forall times work v r, 0 <= r -> r * pow2 work <= IZR v ->
  power_2 times r * pow2 work <= IZR (squared times shift_up work v).
Proof.
  induction times as [|n IH]; intros work v r P above; cbn [squared power_2]; [exact above|].
  apply IH; [now apply Rmult_le_pos|].
  apply Rle_trans with (2 := shift_up_ge _ _). rewrite mult_IZR.
  pose proof (pow2_pos work). pose proof (pow2_pos (- work)).
  replace (r * r * pow2 work) with ((r * pow2 work) * (r * pow2 work) * pow2 (- work)).
  - apply Rmult_le_compat_r; [lra|]. apply Rmult_le_compat; try apply Rmult_le_pos; lra.
  - pose proof (pow2_opp work) as E.
    replace (r * pow2 work * (r * pow2 work) * pow2 (- work)) with (r * r * pow2 work * (pow2 work * pow2 (- work))) by ring.
    rewrite E. ring.
Qed.

Lemma power_2_exp : forall times x, power_2 times (exp x) = exp (x * pow2 (Z.of_nat times)).
Proof.
  induction times as [|n IH]; intros x; cbn [power_2].
  - f_equal. change (pow2 (Z.of_nat 0)) with 1. ring.
  - rewrite <- exp_plus, IH. f_equal.
    replace (Z.of_nat (S n)) with (1 + Z.of_nat n)%Z by lia. rewrite pow2_add. simpl (pow2 1). ring.
Qed.

(** ** The two bounds *)

Lemma halvings_ge : forall x scale, (8 <= halvings x scale)%Z.
Proof. intros. unfold halvings. lia. Qed.

Lemma exp_decreasing : forall x y, x <= y -> exp (- y) <= exp (- x).
Proof. intros x y [less | same]; [apply Rlt_le, exp_increasing; lra | subst; lra]. Qed.

Lemma exp_inverse : forall x, exp (- x) * exp x = 1.
Proof. intros. rewrite <- exp_plus. replace (- x + x) with 0 by ring. apply exp_0. Qed.

(** Of a fixed-point number [z] and its real value, halved [count] times. *)
Lemma unhalve : forall work scale count z x,
  (0 <= count)%Z -> z = x * pow2 (- (scale + count - work)) ->
  z * pow2 (- work) * pow2 (Z.of_nat (Z.to_nat count)) = x * pow2 (- scale).
Proof.
  intros work scale count z x P E. rewrite Z2Nat.id by assumption. subst z.
  rewrite !Rmult_assoc, <- !pow2_add. repeat f_equal. lia.
Qed.

Lemma exp_lower_le : forall X scale bits x, (0 <= bits)%Z -> x <= IZR X * pow2 (- scale) ->
  IZR (exp_lower X scale bits) * pow2 (- bits) <= exp (- x).
Proof.
  intros X scale bits x B below. unfold exp_lower.
  set (count := halvings X scale). assert (C : (8 <= count)%Z) by apply halvings_ge.
  set (work := (bits + count + 16)%Z). assert (W : (0 <= work)%Z) by (unfold work; lia).
  set (z := shift_up X (scale + count - work)).
  destruct ((0 <=? z) && (2 * z <=? Z.shiftl 1 work))%bool%Z eqn:test;
    [|rewrite Rmult_0_l; apply Rlt_le, exp_pos].
  apply andb_prop in test. destruct test as [P H]. apply Z.leb_le in P, H.
  apply IZR_le in H. rewrite mult_IZR, shiftl_1 in H by assumption.
  pose proof (pow2_pos work) as one. pose proof (pow2_opp work) as inv. pose proof (pow2_pos (- work)) as one'.
  set (r := IZR z * pow2 (- work)).
  assert (V : IZR z = r * pow2 work) by (unfold r; rewrite Rmult_assoc, (Rmult_comm (pow2 (- work))), inv; ring).
  assert (small : r <= 1 / 2) by (apply Rmult_le_reg_r with (pow2 work); lra).
  set (E := series_up (fuel work) z work 0 (Z.shiftl 1 work) (Z.shiftl 1 work)).
  assert (above : pow2 work * exp r <= IZR E).
  { unfold E. change 0%Z with (Z.of_nat 0).
    apply series_up_ge; try assumption; rewrite ?term_0, ?partial_0, shiftl_1 by assumption; lra. }
  assert (E_pos : 0 < IZR E) by (pose proof (exp_pos r); nra).
  assert (E_pos' : (0 < E)%Z) by now apply lt_IZR.
  set (v := (Z.shiftl (Z.shiftl 1 work) work / E)%Z).
  assert (v_nonneg : (0 <= v)%Z).
  { apply Z.div_pos; [|assumption]. apply le_IZR. rewrite shiftl_real, shiftl_1 by assumption. nra. }
  assert (v_le : IZR v <= exp (- r) * pow2 work).
  { pose proof (quotient_down_le (Z.shiftl (Z.shiftl 1 work) work) E E_pos') as Q. fold v in Q.
    rewrite shiftl_real, shiftl_1 in Q by assumption.
    pose proof (exp_inverse r). pose proof (exp_pos r). pose proof (exp_pos (- r)). apply (IZR_le 0) in v_nonneg.
    assert (IZR v * (pow2 work * exp r) <= pow2 work * pow2 work)
      by (apply Rle_trans with (2 := Q); now apply Rmult_le_compat_l).
    apply Rmult_le_reg_r with (pow2 work * exp r); [nra|].
    replace (exp (- r) * pow2 work * (pow2 work * exp r)) with (pow2 work * pow2 work * (exp (- r) * exp r)) by ring.
    rewrite H0. lra. }
  pose proof (squared_down (Z.to_nat count) work v (exp (- r)) v_nonneg v_le) as Q.
  rewrite power_2_exp in Q. set (value := squared (Z.to_nat count) shift_down work v) in *.
  apply Rle_trans with (IZR value * pow2 (- (work - bits)) * pow2 (- bits)).
  - apply Rmult_le_compat_r; [apply Rlt_le, pow2_pos | apply shift_down_le].
  - rewrite Rmult_assoc, <- pow2_add. replace (- (work - bits) + - bits)%Z with (- work)%Z by lia.
    apply Rle_trans with (exp (- r * pow2 (Z.of_nat (Z.to_nat count))) * pow2 work * pow2 (- work)).
    + apply Rmult_le_compat_r; lra.
    + rewrite Rmult_assoc, inv, Rmult_1_r, Ropp_mult_distr_l_reverse. apply exp_decreasing.
      apply Rle_trans with (1 := below). unfold r.
      rewrite <- (unhalve work scale count (IZR X * pow2 (- (scale + count - work))) (IZR X)) by (reflexivity || lia).
      apply Rmult_le_compat_r; [apply Rlt_le, pow2_pos|]. apply Rmult_le_compat_r; [lra | apply shift_up_ge].
Qed.

Lemma exp_upper_ge : forall X scale bits x, (0 <= bits)%Z -> (0 <= X)%Z -> IZR X * pow2 (- scale) <= x ->
  exp (- x) <= IZR (exp_upper X scale bits) * pow2 (- bits).
Proof.
  intros X scale bits x B P above. unfold exp_upper.
  set (count := halvings X scale). assert (C : (8 <= count)%Z) by apply halvings_ge.
  set (work := (bits + count + 16)%Z). assert (W : (0 <= work)%Z) by (unfold work; lia).
  set (z := shift_down X (scale + count - work)).
  assert (z_nonneg : (0 <= z)%Z) by now apply shift_down_nonneg.
  pose proof (pow2_pos work) as one. pose proof (pow2_opp work) as inv. pose proof (pow2_pos (- work)) as one'.
  set (r := IZR z * pow2 (- work)).
  assert (V : IZR z = r * pow2 work) by (unfold r; rewrite Rmult_assoc, (Rmult_comm (pow2 (- work))), inv; ring).
  set (E := series_down (fuel work) z work 0 (Z.shiftl 1 work) (Z.shiftl 1 work)).
  assert (both : IZR (Z.shiftl 1 work) <= IZR E <= pow2 work * exp r).
  { unfold E. change 0%Z with (Z.of_nat 0).
    apply series_down_le; try assumption; rewrite ?term_0, ?partial_0, ?shiftl_1 by assumption; try lra.
    apply le_IZR. rewrite shiftl_1 by assumption. lra. }
  rewrite shiftl_1 in both by assumption.
  assert (E_pos' : (0 < E)%Z) by (apply lt_IZR; lra).
  set (v := quotient_up (Z.shiftl (Z.shiftl 1 work) work) E).
  assert (v_ge : exp (- r) * pow2 work <= IZR v).
  { pose proof (quotient_up_ge (Z.shiftl (Z.shiftl 1 work) work) E E_pos') as Q. fold v in Q.
    rewrite shiftl_real, shiftl_1 in Q by assumption.
    pose proof (exp_inverse r) as I. pose proof (exp_pos r). pose proof (exp_pos (- r)).
    apply Rmult_le_reg_r with (IZR E); [lra|]. apply Rle_trans with (2 := Q).
    apply Rle_trans with (exp (- r) * pow2 work * (pow2 work * exp r)).
    - apply Rmult_le_compat_l; [nra | lra].
    - replace (exp (- r) * pow2 work * (pow2 work * exp r)) with (pow2 work * pow2 work * (exp (- r) * exp r)) by ring.
      rewrite I. lra. }
  pose proof (squared_up (Z.to_nat count) work v (exp (- r)) (Rlt_le _ _ (exp_pos _)) v_ge) as Q.
  rewrite power_2_exp in Q. set (value := squared (Z.to_nat count) shift_up work v) in *.
  apply Rle_trans with (IZR value * pow2 (- (work - bits)) * pow2 (- bits)).
  - rewrite Rmult_assoc, <- pow2_add. replace (- (work - bits) + - bits)%Z with (- work)%Z by lia.
    apply Rle_trans with (exp (- r * pow2 (Z.of_nat (Z.to_nat count))) * pow2 work * pow2 (- work)).
    + rewrite Rmult_assoc, inv, Rmult_1_r, Ropp_mult_distr_l_reverse. apply exp_decreasing.
      apply Rle_trans with (2 := above). unfold r.
      rewrite <- (unhalve work scale count (IZR X * pow2 (- (scale + count - work))) (IZR X)) by (reflexivity || lia).
      apply Rmult_le_compat_r; [apply Rlt_le, pow2_pos|]. apply Rmult_le_compat_r; [lra | apply shift_down_le].
    + apply Rmult_le_compat_r; lra.
  - apply Rmult_le_compat_r; [apply Rlt_le, pow2_pos | apply shift_up_ge].
Qed.

(** ** ln 2: candidates from its series, believed only after a comparison of [exp] with 1/2 *)

Fixpoint ln2_series (terms : nat) (j work total : Z) : Z :=
  match terms with
  | O => total
  | S n => ln2_series n (j + 1) work (total + Z.shiftl 1 (work - j) / j)
  end.

Definition ln2_enclosure (scale : Z) : Z * Z :=
  let work := (scale + 16)%Z in
  let total := ln2_series (Z.to_nat work) 1 work 0 in
  let low := Z.shiftr total 16 in
  let high := (Z.shiftr (total + work + 1) 16 + 1)%Z in
  let half := Z.shiftl 1 (work - 1) in
  if ((0 <? high) && (0 <=? scale) && (half <=? exp_lower low scale work) && (exp_upper high scale work <=? half))%bool%Z
  then (low, high)
  else (0, Z.shiftl 1 (Z.max 0 scale))%Z.

Lemma ln2_bounds : 0 < ln 2 < 1.
Proof.
  pose proof ln_lt_2. split; [lra|]. apply exp_lt_inv. rewrite exp_ln by lra.
  pose proof (exp_ge_partial 1 2 ltac:(lra)) as L. unfold partial, term in L. simpl in L. lra.
Qed.

Lemma below_half : forall x, 1 / 2 <= exp (- x) -> x <= ln 2.
Proof.
  intros x H. destruct (Rle_or_lt x (ln 2)) as [|more]; [assumption|exfalso].
  assert (exp (- x) < exp (- ln 2)) by (apply exp_increasing; lra).
  rewrite (exp_Ropp (ln 2)), exp_ln in H0 by lra. lra.
Qed.

Lemma above_half : forall x, exp (- x) <= 1 / 2 -> ln 2 <= x.
Proof.
  intros x H. destruct (Rle_or_lt (ln 2) x) as [|less]; [assumption|exfalso].
  assert (exp (- ln 2) < exp (- x)) by (apply exp_increasing; lra).
  rewrite (exp_Ropp (ln 2)), exp_ln in H0 by lra. lra.
Qed.

Lemma ln2_enclosed : forall scale, (0 <= scale)%Z ->
  IZR (fst (ln2_enclosure scale)) * pow2 (- scale) <= ln 2 <= IZR (snd (ln2_enclosure scale)) * pow2 (- scale)
  /\ (0 < snd (ln2_enclosure scale))%Z.
Proof.
  intros scale S. unfold ln2_enclosure.
  set (work := (scale + 16)%Z). set (total := ln2_series _ _ _ _).
  set (low := Z.shiftr total 16). set (high := (Z.shiftr (total + work + 1) 16 + 1)%Z).
  pose proof ln2_bounds as bounds.
  destruct ((0 <? high) && (0 <=? scale) && (Z.shiftl 1 (work - 1) <=? exp_lower low scale work)
            && (exp_upper high scale work <=? Z.shiftl 1 (work - 1)))%bool%Z eqn:test; simpl fst; simpl snd.
  - repeat (apply andb_prop in test; destruct test as [test ?]).
    apply Z.ltb_lt in test. apply Z.leb_le in H, H0, H1.
    assert (half : IZR (Z.shiftl 1 (work - 1)) * pow2 (- work) = 1 / 2).
    { rewrite shiftl_1 by (unfold work; lia). rewrite <- pow2_add.
      replace (work - 1 + - work)%Z with (-1)%Z by lia. simpl. lra. }
    pose proof (pow2_pos (- work)).
    split; [split|assumption].
    + apply below_half. apply Rle_trans with (2 := exp_lower_le low scale work _ ltac:(unfold work; lia) (Rle_refl _)).
      rewrite <- half. apply Rmult_le_compat_r; [lra | now apply IZR_le].
    + apply above_half.
      apply Rle_trans with (1 := exp_upper_ge high scale work _ ltac:(unfold work; lia) ltac:(lia) (Rle_refl _)).
      rewrite <- half. apply Rmult_le_compat_r; [lra | now apply IZR_le].
  - rewrite Z.max_r by assumption. split.
    + rewrite shiftl_1 by assumption. rewrite pow2_opp. lra.
    + apply lt_IZR. rewrite shiftl_1 by assumption. apply pow2_pos.
Qed.

(** ** The square root of a fraction *)

(** [1 / sqrt(above / below)] in units of [2 ^ -scale]. *)
Definition inverse_root (above below scale : Z) : Z * Z :=
  let scaled := Z.shiftl below (2 * scale) in
  let low := Z.sqrt (scaled / above) in
  (low, if (low * low * above =? scaled)%Z then low else low + 1)%Z.

Lemma inverse_root_encloses : forall above below scale, (0 < above)%Z -> (0 < below)%Z -> (0 <= scale)%Z ->
  IZR (fst (inverse_root above below scale)) * pow2 (- scale) <= / sqrt (IZR above / IZR below)
    <= IZR (snd (inverse_root above below scale)) * pow2 (- scale).
Proof.
  intros above below scale positive positive' natural. unfold inverse_root.
  set (scaled := Z.shiftl below (2 * scale)). set (low := Z.sqrt (scaled / above)).
  assert (value : IZR scaled = IZR below * (pow2 scale * pow2 scale)).
  { unfold scaled. rewrite shiftl_real by lia. rewrite <- pow2_add. now replace (scale + scale)%Z with (2 * scale)%Z by lia. }
  pose proof (pow2_pos scale) as P. pose proof (pow2_pos (- scale)) as P'. pose proof (pow2_opp scale) as inv.
  apply IZR_lt in positive as A. apply IZR_lt in positive' as B.
  assert (ratio : 0 < IZR above / IZR below) by now apply Rdiv_lt_0_compat.
  assert (root : 0 < sqrt (IZR above / IZR below)) by now apply sqrt_lt_R0.
  assert (square : sqrt (IZR above / IZR below) * sqrt (IZR above / IZR below) = IZR above / IZR below) by (apply sqrt_sqrt; lra).
  remember (sqrt (IZR above / IZR below)) as q eqn:Q. clear Q.
  assert (square' : IZR above = q * q * IZR below) by (rewrite square; field; lra).
  assert (quotient : (0 <= scaled / above)%Z).
  { apply Z.div_pos; [apply le_IZR; rewrite value; nra | assumption]. }
  pose proof (Z.sqrt_spec _ quotient) as [under over]. fold low in under, over.
  assert (low_nonneg : (0 <= low)%Z) by apply Z.sqrt_nonneg.
  assert (lower : (low * low * above <= scaled)%Z).
  { pose proof (Z.mul_div_le scaled above positive). nia. }
  assert (upper : (scaled < (low + 1) * (low + 1) * above)%Z).
  { pose proof (Z.mul_succ_div_gt scaled above positive). nia. }
  assert (compare : forall n, (0 <= n)%Z ->
    (IZR (n * n * above) <= IZR scaled -> IZR n * pow2 (- scale) <= / q) /\
    (IZR scaled <= IZR (n * n * above) -> / q <= IZR n * pow2 (- scale))).
  { intros n N. rewrite value, !mult_IZR, square'. apply (IZR_le 0) in N.
    set (a := IZR n * q). assert (0 <= a) by (unfold a; nra).
    replace (IZR n * IZR n * (q * q * IZR below)) with (IZR below * (a * a)) by (unfold a; ring).
    split; intros H1; apply Rmult_le_reg_l in H1; try assumption.
    - assert (a <= pow2 scale) by (destruct (Rle_or_lt a (pow2 scale)); [assumption | nra]).
      apply Rmult_le_reg_r with (q); [assumption|]. rewrite Rinv_l by lra.
      replace (IZR n * pow2 (- scale) * q) with (a * pow2 (- scale)) by (unfold a; ring). nra.
    - assert (pow2 scale <= a) by (destruct (Rle_or_lt (pow2 scale) a); [assumption | nra]).
      apply Rmult_le_reg_r with (q); [assumption|]. rewrite Rinv_l by lra.
      replace (IZR n * pow2 (- scale) * q) with (a * pow2 (- scale)) by (unfold a; ring). nra. }
  apply IZR_le in lower. apply IZR_lt in upper.
  simpl fst; simpl snd. split.
  - now apply compare.
  - destruct (low * low * above =? scaled)%Z eqn:exact.
    + apply compare; [assumption|]. apply Z.eqb_eq in exact. rewrite exact. lra.
    + apply compare; [lia | lra].
Qed.

Lemma inverse_root_nonneg : forall above below scale,
  (0 <= fst (inverse_root above below scale))%Z /\ (0 <= snd (inverse_root above below scale))%Z.
Proof.
  intros. unfold inverse_root. pose proof (Z.sqrt_nonneg (Z.shiftl below (2 * scale) / above)).
  cbn [fst snd]. split; [assumption|]. destruct (_ =? _)%Z; lia.
Qed.
