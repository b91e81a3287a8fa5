(** rules.md, expected_loss: the mean loss, from what inputs that are correct at each of several margins weigh. *)

From Coq Require Import Reals ZArith List Lra Lia Arith Bool.
From Compact Require Import Spec.Model Spec.General Spec.Loss Real.Sums Real.Exp Integer.Dyadic Integer.Tables Facts Premises.
From Compact Require Import Regions.Inputs General.Balls General.Tables General.Loss General.Problem General.Statements.
Import ListNotations.
Open Scope Z_scope.

(** ** The program *)

Definition total_of (rows : list (list (nat * Z))) : Z := fold_right (fun row rest => weight_of_row row * rest) 1 rows.

Definition rung := (fraction * (Z * Z))%type.

Fixpoint rungs_of (premises : list (fraction * statement)) : outcome (list rung) :=
  match premises with
  | [] => Fine []
  | (margin, Accuracy_of_weights right missed) :: rest =>
      match rungs_of rest with Fine more => Fine ((margin, (right, missed)) :: more) | Refused why => Refused why end
  | _ :: _ => Refused wrong_premises
  end.

Fixpoint increasing (l : list rung) : bool :=
  match l with
  | [] => true
  | a :: rest => match rest with [] => true | b :: _ => fst (fst a) * snd (fst b) <? fst (fst b) * snd (fst a) end && increasing rest
  end.

(** What is correct is so at smaller margins, and what is not, at larger ones. *)
Fixpoint most_correct (l : list rung) : list Z :=
  match l with [] => [] | a :: rest => let later := most_correct rest in Z.max (fst (snd a)) (hd 0 later) :: later end.

Fixpoint most_wrong (before : Z) (l : list rung) : list Z :=
  match l with [] => [] | a :: rest => let here := Z.max before (snd (snd a)) in here :: most_wrong here rest end.

(** Whether [exp(-loss) (1 + (outputs - 1) exp(-margin)) <= 1]. *)
Definition is_loss (bits outputs : Z) (margin : fraction) (loss : Z) : bool :=
  let other := loss + Z.shiftl (fst margin) bits / snd margin in
  let most := Z.shiftl bits bits in
  (0 <=? Z.min loss other) &&
  (exp_upper (Z.min loss most) bits bits + (outputs - 1) * exp_upper (Z.min other most) bits bits <=? Z.shiftl 1 bits).

Fixpoint all_losses (bits outputs : Z) (l : list rung) (losses : list Z) : bool :=
  match l, losses with a :: l', loss :: losses' => is_loss bits outputs (fst a) loss && all_losses bits outputs l' losses' | _, _ => true end.

Fixpoint weighed_losses (losses counts : list Z) : Z :=
  match losses, counts with loss :: losses', n :: counts' => loss * (n - hd 0 counts') + weighed_losses losses' counts' | _, _ => 0 end.

Section Program.
Variables (w : layer_weights) (P : problem).

Definition expected_loss (here : fraction) (premises : list (fraction * statement)) (bits : Z) (losses : list Z) : outcome statement :=
  require (0 <=? bits) out_of_range
  match rungs_of premises with
  | Refused why => Refused why
  | Fine l =>
      let correct := most_correct l in
      let ladder := combine (map fst l) (combine correct (most_wrong 0 l)) in
      let total := total_of (allowed P) in
      match find (fun a : rung => same_margin here (fst a)) ladder with
      | None => Refused not_a_ladder
      | Some own =>
          require (forallb (fun a : rung => 0 <? snd (fst a)) l && increasing l) not_a_ladder
          (require ((0 <? total) && (total <=? hd 0 correct)) loss_unbounded
          (require (Nat.eqb (length l) (length losses)) wrong_shape
          (require (all_losses bits (Z.of_nat (size_m w)) l losses) loss_too_small
          (Fine (Profile_of_weights (fst (snd own)) (snd (snd own)) ladder (weighed_losses losses correct, Z.shiftl total bits))))))
      end
  end.
End Program.

(** ** Soundness *)

(** *** The loss of one input *)

Lemma ln_le : forall a b, (0 < a)%R -> (a <= b)%R -> (ln a <= ln b)%R.
Proof. intros a b pos [less|<-]; [apply Rlt_le; now apply ln_increasing | apply Rle_refl]. Qed.

Lemma sum_one_of : forall n c a b f, (c < n)%nat -> f c = a -> (forall y, (y < n)%nat -> y <> c -> f y <= b)%R ->
  (sum n f <= a + (INR n - 1) * b)%R.
Proof.
  intros n c a b f C E less. apply Rle_trans with (sum n (fun y => b + (if Nat.eqb y c then a - b else 0)))%R.
  - apply sum_le. intros y Y. destruct (Nat.eqb_spec y c) as [->|other]; [lra|]. specialize (less y Y other). lra.
  - rewrite sum_plus, sum_constant. assert (G : sum n (fun y => if Nat.eqb y c then a - b else 0)%R = (a - b)%R); [|lra].
    clear - C. induction n as [|n IH]; [lia|]. cbn [sum]. destruct (Nat.eqb_spec n c) as [->|other].
    + rewrite (sum_ext c _ (fun _ => 0)%R), sum_zero; [ring|]. intros y Y. now rewrite (proj2 (Nat.eqb_neq y c)) by lia.
    + rewrite IH by lia. ring.
Qed.

(** At least the loss of an input that is correct at the margin. *)
Definition most_at (outputs : nat) (margin : R) : R := ln (1 + (INR outputs - 1) * exp (- margin)).

Lemma most_at_pos : forall m margin, (0 < m)%nat -> (1 <= 1 + (INR m - 1) * exp (- margin))%R.
Proof. intros m margin some. pose proof (exp_pos (- margin)). apply le_INR in some. simpl (INR 1) in some. nra. Qed.

Lemma loss_at : forall L P margin x, answered L P margin x -> (loss L P x <= most_at (outputs L) margin)%R.
Proof.
  intros L P margin x (c & Lab & C & ahead). unfold loss, most_at. rewrite <- Lab, Nat2Z.id. set (l y := logit_at L x (readout P) y) in *.
  change (fun y : nat => exp (logit_at L x (readout P) y)) with (fun y => exp (l y)). change (logit_at L x (readout P) c) with (l c).
  assert (pos : (0 < sum (outputs L) (fun y => exp (l y)))%R) by (apply sum_pos; [intros; apply exp_pos | lia]).
  pose proof (exp_pos (l c)) as pos_c. rewrite <- ln_Rinv by (now apply Rdiv_lt_0_compat).
  replace (/ (exp (l c) / sum (outputs L) (fun y => exp (l y))))%R with (sum (outputs L) (fun y => exp (l y)) * / exp (l c))%R by (field; lra).
  pose proof (Rinv_0_lt_compat _ pos_c) as inv. apply ln_le; [nra|].
  apply Rmult_le_reg_r with (exp (l c)); [exact pos_c|]. rewrite Rmult_assoc, Rinv_l, Rmult_1_r by lra.
  apply Rle_trans with (exp (l c) + (INR (outputs L) - 1) * (exp (- margin) * exp (l c)))%R; [|lra].
  apply sum_one_of with (c := c); [exact C | reflexivity|]. intros y Y other. rewrite <- exp_plus. specialize (ahead y Y other).
  apply Rlt_le, exp_increasing. change (l y + margin < l c)%R in ahead. lra.
Qed.

Lemma is_loss_right : forall bits m margin loss_, 0 <= bits -> (0 < m)%nat -> 0 < snd margin -> is_loss bits (Z.of_nat m) margin loss_ = true ->
  (most_at m (value_of margin) <= IZR loss_ * pow2 (- bits))%R.
Proof.
  intros bits m margin loss_ natural some positive T. unfold is_loss in T. apply andb_prop in T. destruct T as [T1 T2]. apply Z.leb_le in T1, T2.
  set (other := loss_ + Z.shiftl (fst margin) bits / snd margin) in *. set (cap := Z.shiftl bits bits) in *.
  assert (cap_nonneg : 0 <= cap) by (apply Z.shiftl_nonneg; lia). pose proof (pow2_pos (- bits)) as unit. pose proof (pow2_opp bits) as inv.
  set (x := (IZR loss_ * pow2 (- bits))%R).
  assert (other_less : (IZR other * pow2 (- bits) <= x + value_of margin)%R).
  { unfold other, x. rewrite plus_IZR. pose proof (quotient_down_le (Z.shiftl (fst margin) bits) (snd margin) positive) as Q.
    rewrite shiftl_real in Q by exact natural. apply IZR_lt in positive as pos.
    assert (G : (IZR (Z.shiftl (fst margin) bits / snd margin) <= value_of margin * pow2 bits)%R).
    { apply Rmult_le_reg_r with (IZR (snd margin)); [exact pos|]. apply Rle_trans with (1 := Q). right. unfold value_of. field. lra. }
    apply (Rmult_le_compat_r (pow2 (- bits))) in G; [|lra]. rewrite Rmult_assoc, inv, Rmult_1_r in G. lra. }
  assert (A : (exp (- x) <= IZR (exp_upper (Z.min loss_ cap) bits bits) * pow2 (- bits))%R).
  { apply exp_upper_ge; [exact natural | lia|]. unfold x. apply Rmult_le_compat_r; [lra|]. apply IZR_le. lia. }
  assert (B : (exp (- (x + value_of margin)) <= IZR (exp_upper (Z.min other cap) bits bits) * pow2 (- bits))%R).
  { apply exp_upper_ge; [exact natural | lia|]. apply Rle_trans with (2 := other_less). apply Rmult_le_compat_r; [lra|]. apply IZR_le. lia. }
  apply IZR_le in T2. rewrite plus_IZR, mult_IZR, minus_IZR, <- INR_IZR_INZ, shiftl_1 in T2 by exact natural.
  apply (Rmult_le_compat_r (pow2 (- bits))) in T2; [|lra]. rewrite inv in T2. simpl (IZR 1) in T2.
  apply le_INR in some as many. simpl (INR 1) in many.
  assert (C : (exp (- x) * (1 + (INR m - 1) * exp (- value_of margin)) <= 1)%R).
  { replace (exp (- (x + value_of margin)))%R with (exp (- x) * exp (- value_of margin))%R in B by (rewrite <- exp_plus; f_equal; ring).
    apply (Rmult_le_compat_l (INR m - 1)) in B; [|lra]. lra. }
  unfold most_at. rewrite <- (ln_exp x). apply ln_le; [pose proof (most_at_pos m (value_of margin) some); lra|].
  pose proof (exp_pos (- x)) as pos. apply Rmult_le_reg_l with (exp (- x)); [exact pos|]. rewrite <- exp_plus. replace (- x + x)%R with 0%R by ring.
  rewrite exp_0. exact C.
Qed.

(** *** All inputs *)

Section Sound.
Variables (w : layer_weights) (P : problem).
Hypothesis fits : problem_fits w P = true.
Notation L := (layer_of w).
Notation m := (size_m w).
Notation xs := (inputs (allowed P)).
Notation ok a := (answered L P (value_of a)).
Notation W := (fun x => IZR (weight_of_input (allowed P) x)).
Notation most a := (most_at m (value_of a)).

Lemma answered_less : forall mu mu' x, (mu <= mu')%R -> answered L P mu' x -> answered L P mu x.
Proof. intros mu mu' x less (c & A & B & all). exists c. split; [exact A|]. split; [exact B|]. intros y Y other. specialize (all y Y other). lra. Qed.

Lemma weigh_nothing : forall Q, weigh_at_least P 0 Q.
Proof. intros Q. exists []. split; [constructor|]. split; [constructor|]. cbn. lia. Qed.

Lemma weigh_larger : forall a b Q, weigh_at_least P a Q -> weigh_at_least P b Q -> weigh_at_least P (Z.max a b) Q.
Proof. intros a b Q A B. destruct (Z.max_spec a b) as [[_ ->]|[_ ->]]; assumption. Qed.

Fixpoint rising (l : list rung) : Prop :=
  match l with [] => True | a :: rest => match rest with [] => True | b :: _ => (value_of (fst a) < value_of (fst b))%R end /\ rising rest end.

Lemma increasing_right : forall l : list rung, Forall (fun a => 0 < snd (fst a)) l -> increasing l = true -> rising l.
Proof.
  induction l as [|a l IH]; intros pos T; [exact I|]. cbn [increasing rising] in *. apply andb_prop in T. destruct T as [T1 T2].
  inversion pos as [|? ? Pa pos']; subst. split; [|now apply IH]. destruct l as [|b l]; [exact I|]. inversion pos' as [|? ? Pb _]; subst.
  destruct a as [[an ad] ac], b as [[bn bd] bc]. cbn [fst snd] in *. unfold value_of. cbn [fst snd].
  apply Z.ltb_lt, IZR_lt in T1. rewrite !mult_IZR in T1. apply IZR_lt in Pa, Pb.
  apply Rmult_lt_reg_r with (IZR ad * IZR bd)%R; [nra|].
  replace (IZR an / IZR ad * (IZR ad * IZR bd))%R with (IZR an * IZR bd)%R by (field; lra).
  replace (IZR bn / IZR bd * (IZR ad * IZR bd))%R with (IZR bn * IZR ad)%R by (field; lra).
  exact T1.
Qed.

Lemma most_correct_true : forall l, Forall (rung_true w P) l -> rising l -> Forall2 (fun a n => weigh_at_least P n (ok (fst a))) l (most_correct l).
Proof.
  induction l as [|a l IH]; intros all up; cbn [most_correct]; [constructor|]. inversion all as [|? ? [A _] all']; subst. destruct up as [first up].
  specialize (IH all' up). constructor; [|exact IH]. apply weigh_larger; [exact A|]. destruct l as [|b l]; [apply weigh_nothing|].
  cbn [most_correct hd] in *. inversion IH as [|? ? ? ? B _]; subst.
  apply weigh_less with (1 := B); [lia|]. intros x. apply answered_less. lra.
Qed.

Lemma most_wrong_true : forall l before, Forall (rung_true w P) l -> rising l ->
  match l with a :: _ => weigh_at_least P before (fun x => ~ ok (fst a) x) | [] => True end ->
  Forall2 (fun a n => weigh_at_least P n (fun x => ~ ok (fst a) x)) l (most_wrong before l).
Proof.
  induction l as [|a l IH]; intros before all up known; cbn [most_wrong]; [constructor|]. inversion all as [|? ? [_ A] all']; subst. destruct up as [first up].
  constructor; [now apply weigh_larger|]. apply IH; [exact all' | exact up|]. destruct l as [|b l]; [exact I|].
  apply weigh_less with (1 := weigh_larger _ _ _ known A); [lia|]. intros x no yes. apply no. revert yes. apply answered_less. lra.
Qed.

Lemma rungs_right : forall premises l, Forall (fun one => means w P (value_of (fst one)) (snd one)) premises -> rungs_of premises = Fine l -> Forall (rung_true w P) l.
Proof.
  induction premises as [|[margin f] premises IH]; intros l all E; cbn [rungs_of] in E; [inversion E; constructor|].
  inversion all as [|? ? H all']; subst. destruct f as [| | |c n|]; try discriminate. destruct (rungs_of premises) as [more|]; [|discriminate].
  inversion E; subst. constructor; [exact H | now apply IH].
Qed.

Lemma natural : Forall (fun x => 0 < W x)%R xs.
Proof. apply Forall_forall. intros x I. apply (IZR_lt 0). now apply (weight_positive w P fits). Qed.

Lemma sum_of_weights : forall ys, sum_over W (fun _ => 1%R) ys = IZR (total_weight (allowed P) ys).
Proof.
  induction ys as [|y ys IH]; [reflexivity|]. cbn [sum_over fold_right total_weight]. fold (sum_over W (fun _ => 1%R) ys) (total_weight (allowed P) ys).
  rewrite IH, plus_IZR. ring.
Qed.

Lemma enough_below : forall n a, weigh_at_least P n (ok a) -> (IZR n <= sum_over W (below (loss L P) (most a)) xs)%R.
Proof.
  intros n a (ys & U & each & many). pose proof (fits_parts w P fits) as (_ & _ & _ & apart & pos & _).
  apply Rle_trans with (sum_over W (below (loss L P) (most a)) ys).
  - apply IZR_le in many. apply Rle_trans with (1 := many). rewrite <- sum_of_weights. right. clear U many.
    induction each as [|y ys [_ A] _ IH]; [reflexivity|]. cbn [sum_over fold_right]. fold (sum_over W (fun _ => 1%R) ys) (sum_over W (below (loss L P) (most a)) ys).
    rewrite IH. f_equal. f_equal. unfold below. destruct (Rle_dec _ _) as [|no]; [reflexivity|]. destruct no. exact (loss_at L P (value_of a) y A).
  - apply sum_over_incl; [|intros; apply below_01 | exact U|].
    + pose proof natural as N. revert N. apply Forall_impl. intros; lra.
    + intros y I. rewrite Forall_forall in each. destruct (each y I) as [here _]. now apply input_by_weight.
Qed.

Lemma first_most : forall l : list rung, (0 <= hd 0 (most_correct l)) /\ match l with a :: rest => hd 0 (most_correct rest) <= hd 0 (most_correct l) | [] => True end.
Proof.
  induction l as [|a l [IH _]]; cbn [most_correct hd]; [split; [lia | exact I]|]. split; lia.
Qed.

Definition pairs (l : list rung) : list (R * Z) := combine (map (fun a => most (fst a)) l) (most_correct l).

Lemma pairs_fall : forall l, (0 < m)%nat -> rising l -> falling (pairs l).
Proof.
  intros l some. induction l as [|a l IH]; intros up; [exact I|]. destruct up as [first up]. specialize (IH up).
  unfold pairs in *. cbn [map most_correct combine falling]. split; [|exact IH]. destruct l as [|b l]; [exact I|]. cbn [map most_correct combine].
  unfold most_at. apply ln_le; [pose proof (most_at_pos m (value_of (fst b)) some); lra|].
  assert (exp (- value_of (fst b)) < exp (- value_of (fst a)))%R by (apply exp_increasing; lra). apply le_INR in some. simpl (INR 1) in some. nra.
Qed.

Lemma stairs_cons : forall bound n l, stairs ((bound, n) :: l) = (bound * IZR (n - hd 0%Z (map snd l)) + stairs l)%R.
Proof. intros bound n [|[]]; reflexivity. Qed.

Lemma pairs_counts : forall l, map snd (pairs l) = most_correct l.
Proof.
  unfold pairs. induction l as [|a l IH]; [reflexivity|]. cbn [map most_correct combine snd]. now rewrite IH.
Qed.

Lemma stairs_below : forall bits l losses, 0 <= bits -> (0 < m)%nat -> Forall (fun a => 0 < snd (fst a)) l -> length l = length losses ->
  all_losses bits (Z.of_nat m) l losses = true -> (stairs (pairs l) <= IZR (weighed_losses losses (most_correct l)) * pow2 (- bits))%R.
Proof.
  intros bits l. induction l as [|a l IH]; intros [|one losses] N some pos Len T; try discriminate; [cbn; lra|].
  cbn [all_losses] in T. apply andb_prop in T. destruct T as [T1 T2]. inversion pos as [|? ? Pa pos']; subst.
  specialize (IH losses N some pos' ltac:(cbn in Len; lia) T2). pose proof (is_loss_right bits m (fst a) one N some Pa T1) as B.
  pose proof (first_most (a :: l)) as [_ F].
  change (pairs (a :: l)) with ((most (fst a), hd 0 (most_correct (a :: l))) :: pairs l). rewrite stairs_cons, pairs_counts.
  change (weighed_losses (one :: losses) (most_correct (a :: l)))
    with (one * (hd 0 (most_correct (a :: l)) - hd 0 (most_correct l)) + weighed_losses losses (most_correct l)).
  revert F. generalize (hd 0 (most_correct (a :: l))) (hd 0 (most_correct l)). intros n n' F.
  assert (D : (0 <= IZR (n - n'))%R) by (apply (IZR_le 0); lia). apply (Rmult_le_compat_r _ _ _ D) in B. rewrite plus_IZR, mult_IZR. lra.
Qed.

Theorem expected_loss_sound : forall here premises bits losses f, Forall (fun one => means w P (value_of (fst one)) (snd one)) premises ->
  expected_loss w P here premises bits losses = Fine f -> means w P (value_of here) f.
Proof.
  intros here premises bits losses f all E. unfold expected_loss in E. apply require_fine in E. destruct E as [N E]. apply Z.leb_le in N.
  destruct (rungs_of premises) as [l|] eqn:R; [|discriminate]. apply (rungs_right premises l all) in R. cbv zeta in E.
  destruct (find _ _) as [own|] eqn:F; [|discriminate].
  apply require_fine in E. destruct E as [up E]. apply require_fine in E. destruct E as [T E]. apply require_fine in E. destruct E as [Len E].
  apply require_fine in E. destruct E as [Losses E]. apply fine_eq in E. subst f.
  apply andb_prop in up. destruct up as [pos up]. apply andb_prop in T. destruct T as [some T]. apply Z.ltb_lt in some. apply Z.leb_le in T. apply Nat.eqb_eq in Len.
  assert (pos' : Forall (fun a : rung => 0 < snd (fst a)) l) by (apply Forall_forall; intros a I; rewrite forallb_forall in pos; now apply Z.ltb_lt, pos).
  apply increasing_right in up; [|exact pos'].
  pose proof (most_correct_true l R up) as C. pose proof (most_wrong_true l 0 R up ltac:(destruct l; [exact I | apply weigh_nothing])) as M.
  assert (ladder : Forall (rung_true w P) (combine (map fst l) (combine (most_correct l) (most_wrong 0 l)))).
  { clear - C M. revert C M. generalize (most_correct l) (most_wrong 0 l). intros cs ns C. revert ns. induction C as [|a c l cs A _ IH]; intros ns M; [constructor|].
    inversion M as [|? n ? ns' B M']; subst. cbn [map combine]. constructor; [split; assumption | now apply IH]. }
  pose proof (fits_parts w P fits) as (shaped & _ & _ & distinct_ & positive_ & _). destruct (layer_sizes w shaped) as (_ & _ & _ & m_some & _).
  apply find_some in F. destruct F as [I same]. apply same_margin_eq in same. pose proof ladder as each. rewrite Forall_forall in each.
  destruct (each own I) as [A B]. rewrite <- same in A, B.
  cbn [means]. split; [exact A|]. split; [exact B|]. split; [exact ladder|]. split.
  { cbn [snd]. apply lt_IZR. rewrite shiftl_real by exact N. apply IZR_lt in some. pose proof (pow2_pos bits). nra. }
  exists xs. split; [now apply inputs_NoDup|]. split.
  { intros x. now apply input_by_weight. }
  rewrite (total_of_inputs _ distinct_). fold (total_of (allowed P)). unfold value_of. cbn [fst snd]. rewrite shiftl_real by exact N. apply IZR_lt in some as some'. pose proof (pow2_pos bits) as unit.
  replace (IZR (weighed_losses losses (most_correct l)) / (IZR (total_of (allowed P)) * pow2 bits) * IZR (total_of (allowed P)))%R
    with (IZR (weighed_losses losses (most_correct l)) * / pow2 bits)%R by (field; split; lra).
  assert (inv : (/ pow2 bits = pow2 (- bits))%R) by (pose proof (pow2_opp bits); apply Rmult_eq_reg_l with (pow2 bits); [rewrite Rinv_r by lra; now symmetry | lra]).
  rewrite inv. apply Rle_trans with (2 := stairs_below bits l losses N m_some pos' Len Losses).
  change (sum_over W (loss L P) xs <= stairs (pairs l))%R. pose proof (pairs_fall l m_some up) as fall.
  assert (enough : Forall (fun one => (IZR (snd one) <= sum_over W (below (loss L P) (fst one)) xs)%R) (pairs l)).
  { clear - C fits. unfold pairs. revert C. generalize (most_correct l). intros ns C. induction C as [|a n l ns A _ IH]; [constructor|].
    cbn [map combine]. constructor; [now apply enough_below | exact IH]. }
  destruct l as [|a l]; [cbn in T; lia|]. unfold pairs in *. cbn [map most_correct combine hd] in *.
  apply mean_by_stairs; try assumption.
  - pose proof natural as G. revert G. apply Forall_impl. intros; lra.
  - unfold most_at. rewrite <- ln_1. apply ln_le; [lra | apply most_at_pos, m_some].
  - exact natural.
  - rewrite sum_of_weights, (total_of_inputs _ distinct_). now apply IZR_le.
Qed.
End Sound.
