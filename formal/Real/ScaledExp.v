(** rules.md, "Floating exponentials" and "Exponentials of scores": numbers that keep their bits however small they are. *)

From Coq Require Import Reals ZArith List Lra Lia.
From Compact Require Import Spec.Model Integer.Dyadic Real.Exp.
Import ListNotations.
Open Scope R_scope.

(** A real number from [low] to [high] in units of [2 ^ -(bits + shift)], with bits that the context names. *)
Record power := Power { low : Z; high : Z; shift : Z }.

Definition encloses (bits : Z) (a : power) (x : R) : Prop :=
  (0 <= low a)%Z /\ IZR (low a) * pow2 (- (bits + shift a)) <= x <= IZR (high a) * pow2 (- (bits + shift a)).

(** Enclosures of [1 / sqrt(head)] and of ln 2, in units of [2 ^ -scale]. *)
Definition constants := ((Z * Z) * (Z * Z))%type.
Definition constants_of (head scale : Z) : constants := (inverse_root head 1 scale, ln2_enclosure scale).

(** Those that were made before, by their scale. *)
Definition memo := list (Z * constants).
Definition recall (head : Z) (known : memo) (scale : Z) : constants :=
  match find (fun one => Z.eqb (fst one) scale) known with Some one => snd one | None => constants_of head scale end.
Definition right_memo (head : Z) (known : memo) : Prop :=
  Forall (fun one => snd one = constants_of head (fst one)) known.

Lemma recall_right : forall head known scale, right_memo head known ->
  recall head known scale = constants_of head scale.
Proof.
  intros head known scale right. unfold recall. destruct (find _ known) as [one|] eqn:F; [|reflexivity].
  apply find_some in F. destruct F as [I E]. apply Z.eqb_eq in E. subst scale.
  unfold right_memo in right. rewrite Forall_forall in right. now apply right.
Qed.

Definition scale_of (difference exponent bits : Z) : Z :=
  let size := Z.max (bit_length difference + exponent) 0 in
  (bits + 16 + Z.shiftl 1 (bit_length size))%Z.

(** [exp(-difference * 2^exponent / sqrt(head))], of a difference that is not negative. *)
Definition exp_below (head : Z) (known : memo) (bits exponent difference : Z) : power :=
  let scale := scale_of difference exponent bits in
  let '((root_low, root_high), (ln2_low, ln2_high)) := recall head known scale in
  let least := shift_down (difference * root_low) (- exponent) in
  let most := shift_up (difference * root_high) (- exponent) in
  let halved := (least / ln2_high)%Z in
  {| low := Z.max 0 (exp_lower (most - halved * ln2_low) scale bits);
     high := exp_upper (least - halved * ln2_high) scale bits;
     shift := halved |}.

Lemma scale_nonneg : forall d e bits, (0 <= bits)%Z -> (0 <= scale_of d e bits)%Z.
Proof.
  intros. unfold scale_of.
  assert (0 <= Z.shiftl 1 (bit_length (Z.max (bit_length d + e) 0)))%Z by (apply Z.shiftl_nonneg; lia). lia.
Qed.

Lemma exp_below_encloses : forall head known bits exponent d,
  right_memo head known -> (0 < head)%Z -> (0 <= bits)%Z -> (0 <= d)%Z ->
  encloses bits (exp_below head known bits exponent d) (exp (- (IZR d * pow2 exponent / sqrt (IZR head)))).
Proof.
  intros head known bits exponent d right H B D. unfold exp_below. rewrite recall_right by assumption.
  set (scale := scale_of d exponent bits). assert (S : (0 <= scale)%Z) by now apply scale_nonneg.
  unfold constants_of.
  pose proof (inverse_root_encloses head 1 scale H eq_refl S) as [root_lo root_hi]. replace (IZR head / 1) with (IZR head) in root_lo, root_hi by field.
  pose proof (inverse_root_nonneg head 1 scale) as [root_lo_pos root_hi_pos].
  pose proof (ln2_enclosed scale S) as [[ln_lo ln_hi] ln_pos].
  destruct (inverse_root head 1 scale) as [r l']. destruct (ln2_enclosure scale) as [a b]. simpl fst in *; simpl snd in *.
  set (least := shift_down (d * r) (- exponent)). set (most := shift_up (d * l') (- exponent)).
  set (x := IZR d * pow2 exponent / sqrt (IZR head)).
  apply (IZR_le 0) in D as D'. pose proof (pow2_pos exponent). pose proof (pow2_pos (- scale)) as unit.
  assert (lo : IZR least * pow2 (- scale) <= x).
  { apply Rle_trans with (IZR (d * r) * pow2 (- - exponent) * pow2 (- scale)).
    - apply Rmult_le_compat_r; [lra | apply shift_down_le].
    - rewrite Z.opp_involutive, mult_IZR. unfold x, Rdiv.
      replace (IZR d * IZR r * pow2 exponent * pow2 (- scale))
        with (IZR d * pow2 exponent * (IZR r * pow2 (- scale))) by ring.
      apply Rmult_le_compat_l; [nra | assumption]. }
  assert (hi : x <= IZR most * pow2 (- scale)).
  { apply Rle_trans with (IZR (d * l') * pow2 (- - exponent) * pow2 (- scale)).
    - rewrite Z.opp_involutive, mult_IZR. unfold x, Rdiv.
      replace (IZR d * IZR l' * pow2 exponent * pow2 (- scale))
        with (IZR d * pow2 exponent * (IZR l' * pow2 (- scale))) by ring.
      apply Rmult_le_compat_l; [nra | assumption].
    - apply Rmult_le_compat_r; [lra | apply shift_up_ge]. }
  assert (least_nonneg : (0 <= least)%Z) by (apply shift_down_nonneg; nia).
  set (by_ := (least / b)%Z). assert (by_nonneg : (0 <= by_)%Z) by (apply Z.div_pos; lia).
  apply (IZR_le 0) in by_nonneg as by_nonneg'.
  assert (left_over : (0 <= least - by_ * b)%Z).
  { unfold by_. pose proof (Z.mul_div_le least b ln_pos). lia. }
  assert (split : exp (- x) = exp (- (x - IZR by_ * ln 2)) * pow2 (- by_)).
  { rewrite pow2_exp, opp_IZR, <- exp_plus. f_equal. ring. }
  pose proof (pow2_pos (- by_)) as by_pos.
  assert (units : forall n, IZR n * pow2 (- (bits + by_)) = IZR n * pow2 (- bits) * pow2 (- by_)).
  { intros. rewrite Rmult_assoc, <- pow2_add. repeat f_equal. lia. }
  split; simpl low; simpl high; simpl shift; [apply Z.le_max_l|]. rewrite !units, split. split.
  - apply Rmult_le_compat_r; [lra|].
    destruct (Z.max_spec 0 (exp_lower (most - by_ * a) scale bits)) as [[_ ->] | [_ ->]].
    + apply exp_lower_le; [assumption|]. rewrite minus_IZR, mult_IZR. nra.
    + rewrite Rmult_0_l. apply Rlt_le, exp_pos.
  - apply Rmult_le_compat_r; [lra|]. apply exp_upper_ge; try assumption. rewrite minus_IZR, mult_IZR. nra.
Qed.

(** ** A row of scores *)

Definition largest (row : list Z) : Z := match row with [] => 0%Z | x :: rest => fold_right Z.max x rest end.

Lemma largest_ge : forall row x, In x row -> (x <= largest row)%Z.
Proof.
  intros [|first rest] x I; [destruct I|]. simpl.
  assert (G : forall l, (first <= fold_right Z.max first l)%Z /\ forall y, In y l -> (y <= fold_right Z.max first l)%Z).
  { induction l as [|z l [A B]]; simpl; [split; [lia|easy]|].
    split; [lia|]. intros y [->|J]; [lia|]. specialize (B y J). lia. }
  destruct (G rest) as [first_below rest_below]. destruct I as [<-|I]; [exact first_below | now apply rest_below].
Qed.

(** [exp((score - largest score) / sqrt(head))] *)
Definition exponentials (head : Z) (known : memo) (bits exponent : Z) (row : list Z) : list power :=
  let most := largest row in map (fun score => exp_below head known bits exponent (most - score)) row.

Definition add_scales (head : Z) (bits exponent : Z) (row : list Z) (known : memo) : memo :=
  let most := largest row in
  fold_left (fun known score =>
    let scale := scale_of (most - score) exponent bits in
    if existsb (fun one => Z.eqb (fst one) scale) known then known else (scale, constants_of head scale) :: known) row known.

Lemma add_scales_right : forall head bits exponent row known,
  right_memo head known -> right_memo head (add_scales head bits exponent row known).
Proof.
  intros head bits exponent row. unfold add_scales. generalize (largest row) as most. intros most.
  induction row as [|score row IH]; intros known right; simpl; [assumption|].
  apply IH. destruct (existsb _ known); [assumption|]. now constructor.
Qed.

(** ** One unit for several numbers *)

Definition aligned (powers : list power) : list (Z * Z) :=
  let least := match powers with [] => 0%Z | first :: rest => fold_right (fun a s => Z.min (shift a) s) (shift first) rest end in
  map (fun a => (shift_down (low a) (shift a - least), shift_up (high a) (shift a - least))) powers.

Definition between (unit : R) (ends : Z * Z) (x : R) : Prop :=
  (0 <= fst ends)%Z /\ IZR (fst ends) <= x * unit <= IZR (snd ends).

(** One factor for all. *)
Lemma aligned_between : forall bits powers xs, Forall2 (encloses bits) powers xs ->
  exists unit, 0 < unit /\ Forall2 (between unit) (aligned powers) xs.
Proof.
  intros bits powers xs. unfold aligned.
  set (least := match powers with [] => 0%Z | _ => _ end). clearbody least. intros all.
  exists (pow2 (bits + least)). split; [apply pow2_pos|].
  induction all as [|a x powers xs [natural [lo hi]] _ IH]; simpl; constructor; [|exact IH].
  pose proof (pow2_pos (bits + least)) as P.
  assert (units : forall n, IZR n * pow2 (- (bits + shift a)) * pow2 (bits + least) = IZR n * pow2 (- (shift a - least))).
  { intros. rewrite Rmult_assoc, <- pow2_add. repeat f_equal. lia. }
  split; simpl fst; simpl snd; [now apply shift_down_nonneg|]. split.
  - apply Rle_trans with (1 := shift_down_le _ _). rewrite <- units. apply Rmult_le_compat_r; lra.
  - apply Rle_trans with (2 := shift_up_ge _ _). rewrite <- units. apply Rmult_le_compat_r; lra.
Qed.

(** The exponentials of a row are true up to one factor. *)
Lemma exponentials_enclose : forall head known bits exponent row,
  right_memo head known -> (0 < head)%Z -> (0 <= bits)%Z ->
  exists factor, 0 < factor /\
  Forall2 (encloses bits) (exponentials head known bits exponent row)
          (map (fun score => exp (IZR score * pow2 exponent / sqrt (IZR head)) * factor) row).
Proof.
  intros head known bits exponent row right H B. unfold exponentials.
  exists (exp (- (IZR (largest row) * pow2 exponent / sqrt (IZR head)))). split; [apply exp_pos|].
  assert (all : forall x, In x row -> (x <= largest row)%Z) by apply largest_ge.
  revert all. generalize (largest row) as most. intros most all.
  induction row as [|score row IH]; simpl; constructor.
  - rewrite <- exp_plus.
    replace (IZR score * pow2 exponent / sqrt (IZR head) + - (IZR most * pow2 exponent / sqrt (IZR head)))
      with (- (IZR (most - score) * pow2 exponent / sqrt (IZR head))) by (rewrite minus_IZR; unfold Rdiv; ring).
    apply exp_below_encloses; try assumption. specialize (all score (or_introl eq_refl)). lia.
  - apply IH. intros x I. apply all. now right.
Qed.
