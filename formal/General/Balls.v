(** rules.md, "Balls": real vectors within a radius of a centre, and what linear maps make of them. *)

From Coq Require Import Reals ZArith List Lra Lia Arith.
From Compact Require Import Spec.Model Real.Sums Integer.Dyadic Integer.Matrix Real.ScaledExp.
Import ListNotations.
Open Scope R_scope.

(** All vectors with every entry within [radius] of that of [centre], in units of [2 ^ -bits]. *)
Record ball := Ball { centre : list Z; radius : Z }.

Definition holds_vector (bits : Z) (b : ball) (n : nat) (f : nat -> R) : Prop :=
  length (centre b) = n /\ (0 <= radius b)%Z /\
  forall i, (i < n)%nat -> Rabs (f i * pow2 bits - IZR (nth i (centre b) 0%Z)) <= IZR (radius b).

Lemma Rabs_between : forall x r, Rabs x <= r <-> - r <= x <= r.
Proof. intros x r. split; intros H; [unfold Rabs in H; destruct (Rcase_abs x); lra | apply Rabs_le; lra]. Qed.

Lemma holds_ext : forall bits b n f g, holds_vector bits b n f -> (forall i, (i < n)%nat -> g i = f i) -> holds_vector bits b n g.
Proof. intros bits b n f g (L & R0 & near) same. split; [exact L|]. split; [exact R0|]. intros i I. rewrite same by exact I. now apply near. Qed.

(** Two vectors one after the other, of the larger radius. *)
Definition beside (a b : ball) : ball := {| centre := centre a ++ centre b; radius := Z.max (radius a) (radius b) |}.

Lemma beside_holds : forall bits a b n m f g, holds_vector bits a n f -> holds_vector bits b m g ->
  holds_vector bits (beside a b) (n + m) (fun i => if Nat.ltb i n then f i else g (i - n)%nat).
Proof.
  intros bits a b n m f g (La & Ra & A) (Lb & Rb & B). split; [|split].
  - cbn [centre beside]. now rewrite app_length, La, Lb.
  - cbn [radius beside]. lia.
  - intros i I. cbn [centre radius beside]. destruct (Nat.ltb_spec i n) as [less|more].
    + rewrite app_nth1 by lia. apply Rle_trans with (1 := A i less). apply IZR_le. lia.
    + rewrite app_nth2, La by lia. apply Rle_trans with (1 := B (i - n)%nat ltac:(lia)). apply IZR_le. lia.
Qed.

Lemma sum_abs : forall n f, Rabs (sum n f) <= sum n (fun i => Rabs (f i)).
Proof.
  induction n as [|n IH]; intros f; cbn [sum]; [rewrite Rabs_R0; lra|].
  apply Rle_trans with (1 := Rabs_triang _ _). pose proof (IH f). lra.
Qed.

Lemma sum_constant : forall n c, sum n (fun _ => c) = INR n * c.
Proof. induction n as [|n IH]; intros c; [simpl; ring|]. cbn [sum]. rewrite IH, S_INR. ring. Qed.

(** ** Matrices rounded to the nearest multiple of [2 ^ -bits] *)

Definition to_nearest (shift x : Z) : Z :=
  if (shift <=? 0)%Z then Z.shiftl x (- shift) else Z.shiftr (x + Z.shiftl 1 (shift - 1)) shift.

Definition nearest (bits : Z) (A : matrix) : list (list Z) := map (map (to_nearest (- exponent A - bits))) (rows A).

Lemma to_nearest_half : forall shift x, Rabs (IZR x * pow2 (- shift) - IZR (to_nearest shift x)) <= 1 / 2.
Proof.
  intros shift x. unfold to_nearest. destruct (shift <=? 0)%Z eqn:sign.
  - apply Z.leb_le in sign. rewrite shiftl_real by lia. rewrite Rminus_diag_eq by reflexivity. rewrite Rabs_R0. lra.
  - apply Z.leb_gt in sign. pose proof (shift_down_le (x + Z.shiftl 1 (shift - 1)) shift) as below.
    pose proof (shift_down_gt (x + Z.shiftl 1 (shift - 1)) shift) as above. unfold shift_down in *.
    rewrite plus_IZR, shiftl_1 in below, above by lia.
    assert (half : pow2 (shift - 1) * pow2 (- shift) = 1 / 2).
    { rewrite <- pow2_add. replace (shift - 1 + - shift)%Z with (-1)%Z by lia. simpl. lra. }
    rewrite Rmult_plus_distr_r, half in below, above. apply Rabs_between. lra.
Qed.

Section Nearest.
Variables (bits : Z) (A : matrix) (r c : nat) (f : nat -> nat -> R).
Hypothesis right : stands_for A r c f.

Lemma nearest_rows : length (nearest bits A) = r /\ Forall (fun row => length row = c) (nearest bits A).
Proof.
  destruct right as [[R C] _]. unfold nearest. rewrite map_length. split; [exact R|]. rewrite Forall_map.
  revert C. apply Forall_impl. intros row E. now rewrite map_length.
Qed.

Lemma nearest_half : forall i j, (i < r)%nat -> (j < c)%nat ->
  Rabs (f i j * pow2 bits - IZR (nth j (nth i (nearest bits A) []) 0%Z)) <= 1 / 2.
Proof.
  intros i j I J. destruct right as [S F]. rewrite F by assumption. unfold nearest, number, entry.
  rewrite (nth_map _ _ _ _ i [] []) by (destruct S as [-> _]; exact I).
  rewrite (nth_map _ _ _ _ j 0%Z 0%Z) by (rewrite (row_length A r c); assumption).
  rewrite Rmult_assoc, <- pow2_add. replace (exponent A + bits)%Z with (- (- exponent A - bits))%Z by lia. apply to_nearest_half.
Qed.
End Nearest.

(** ** Linear maps [x -> x W + b] *)

(** What bounds column sums of [|W|], and sizes of lanes, may be that of several maps. *)
Record linear := Linear { matrix_rows : list (list Z); bias_row : list Z; column_bound : Z; column_top : Z; bias_top : Z }.

Definition column_sums (columns : nat) (all : list (list Z)) : list Z := fold_right (zip (fun x s => (Z.abs x + s)%Z)) (repeat 0%Z columns) all.

Definition linear_of (bits : Z) (W b : matrix) : linear :=
  let all := nearest bits W in
  let bias := hd [] (nearest bits b) in
  let top := largest (column_sums (length bias) all) in
  Linear all bias (top + Z.of_nat (length all)) top (largest (map Z.abs bias)).

(** Columns that stand side by side in one map. *)
Definition side_by_side (maps : list linear) : list linear :=
  let most f := largest (map f maps) in
  let '(bound, top, bias) := (most column_bound, most column_top, most bias_top) in
  map (fun l => Linear (matrix_rows l) (bias_row l) bound top bias) maps.

Definition image (bits : Z) (l : linear) (x : ball) : ball :=
  let sizes := map Z.abs (centre x) in
  let size := ((bit_length (largest sizes) + 15) / 16 * 16)%Z in
  let half := Z.shiftl 1 (bit_length (Z.shiftl (column_top l) size + Z.shiftl (bias_top l) bits)) in
  let low := Z.shiftr half bits in
  {| centre := zip (fun s b => Z.shiftr (s + Z.shiftl b bits + half) bits - low)%Z
       (combination (length (bias_row l)) (centre x) (matrix_rows l)) (bias_row l);
     radius := shift_up (radius x * column_bound l) bits + shift_up (fold_right Z.add 0%Z sizes) (bits + 1) + 2 |}.

Definition linear_right (bits : Z) (W b : matrix) (l : linear) : Prop :=
  matrix_rows l = nearest bits W /\ bias_row l = hd [] (nearest bits b) /\ (column_bound (linear_of bits W b) <= column_bound l)%Z.

Lemma linear_of_right : forall bits W b, linear_right bits W b (linear_of bits W b).
Proof. intros. repeat split. lia. Qed.

Lemma side_by_side_right : forall bits (ones : list (matrix * matrix)) maps,
  Forall2 (fun one l => linear_right bits (fst one) (snd one) l) ones maps ->
  Forall2 (fun one l => linear_right bits (fst one) (snd one) l) ones (side_by_side maps).
Proof.
  intros bits ones maps all. unfold side_by_side.
  assert (G : forall l, In l maps -> (column_bound l <= largest (map column_bound maps))%Z) by (intros; apply largest_ge, in_map; assumption).
  revert G. generalize (largest (map column_bound maps)) (largest (map column_top maps)) (largest (map bias_top maps)). intros bound top bias G.
  induction all as [|one l ones maps (R & B & N) _ IH]; cbn [map]; constructor.
  - repeat split; cbn [matrix_rows bias_row column_bound]; try assumption. specialize (G l (or_introl eq_refl)). lia.
  - apply IH. intros l' I. apply G. now right.
Qed.

Lemma column_sums_nth : forall c n all j, Forall (fun row => length row = c) all -> length all = n -> (j < c)%nat ->
  length (column_sums c all) = c /\
  IZR (nth j (column_sums c all) 0%Z) = sum n (fun i => Rabs (IZR (nth j (nth i all []) 0%Z))).
Proof.
  intros c n all j shape. revert n. induction shape as [|row all L shape IH]; intros n N J.
  - subst n. cbn. rewrite repeat_length, nth_repeat. now split.
  - destruct n as [|n]; [discriminate|]. cbn [length] in N. destruct (IH n ltac:(lia) J) as [LL E].
    cbn [column_sums fold_right]. fold (column_sums c all). split; [now apply zip_length|].
    rewrite zip_nth by lia. rewrite plus_IZR, abs_IZR, E, sum_first. reflexivity.
Qed.

Lemma fold_abs_sum : forall n l, length l = n -> IZR (fold_right Z.add 0%Z (map Z.abs l)) = sum n (fun i => Rabs (IZR (nth i l 0%Z))).
Proof.
  induction n as [|n IH]; intros [|x l] L; try discriminate; [reflexivity|].
  cbn [map fold_right]. rewrite plus_IZR, abs_IZR, (IH l) by (simpl in L; lia). now rewrite sum_first.
Qed.

Lemma fold_abs_nonneg : forall l, (0 <= fold_right Z.add 0%Z (map Z.abs l))%Z.
Proof. induction l as [|x l IH]; cbn [map fold_right]; lia. Qed.

Section Image.
Variables (bits : Z) (W b : matrix) (n m : nat) (f : nat -> nat -> R) (g : nat -> R) (l : linear) (x : ball) (vector : nat -> R).
Hypothesis natural : (0 <= bits)%Z.
Hypothesis some : (0 < m)%nat.
Hypothesis of_W : stands_for W n m f.
Hypothesis of_b : stands_for b 1 m (fun _ => g).
Hypothesis right : linear_right bits W b l.
Hypothesis inside : holds_vector bits x n vector.

Let bias_length : length (bias_row l) = m.
Proof.
  destruct right as (_ & -> & _). destruct (nearest_rows bits b 1 m _ of_b) as [R C].
  destruct (nearest bits b) as [|row [|]]; try discriminate. inversion C. assumption.
Qed.

Let rows_shape : length (matrix_rows l) = n /\ Forall (fun row => length row = m) (matrix_rows l).
Proof. destruct right as (-> & _). exact (nearest_rows bits W n m f of_W). Qed.

Let bound_covers : forall j, (j < m)%nat ->
  sum n (fun i => Rabs (IZR (nth j (nth i (matrix_rows l) []) 0%Z))) + INR n <= IZR (column_bound l).
Proof.
  intros j J. destruct rows_shape as [RL C]. destruct right as (EW & Eb & N).
  destruct (column_sums_nth m n (matrix_rows l) j C RL J) as [L E]. rewrite <- E.
  unfold linear_of in N. cbn [column_bound] in N. rewrite <- EW, <- Eb, bias_length, RL in N.
  rewrite INR_IZR_INZ, <- plus_IZR. apply IZR_le.
  assert (nth j (column_sums m (matrix_rows l)) 0 <= largest (column_sums m (matrix_rows l)))%Z by (apply largest_ge, nth_In; lia). lia.
Qed.

Theorem image_holds : holds_vector bits (image bits l x) m (fun j => sum n (fun i => vector i * f i j) + g j).
Proof.
  destruct inside as (Lx & r_nonneg & near). destruct rows_shape as [RL C]. unfold image.
  set (half := Z.shiftl 1 _). set (sizes := map Z.abs (centre x)). split; [|split].
  - cbn [centre]. apply zip_length; rewrite bias_length; [now apply combination_length | reflexivity].
  - cbn [radius]. pose proof (shift_up_nonneg (fold_right Z.add 0%Z sizes) (bits + 1) (fold_abs_nonneg _)).
    assert (0 <= column_bound l)%Z.
    { apply le_IZR. apply Rle_trans with (2 := bound_covers 0 some).
      apply Rplus_le_le_0_compat; [apply sum_nonneg; intros; apply Rabs_pos | apply pos_INR]. }
    pose proof (shift_up_nonneg (radius x * column_bound l) bits ltac:(nia)). lia.
  - intros j J. cbn [centre radius]. rewrite bias_length, zip_nth by (rewrite ?combination_length, ?bias_length; assumption).
    set (S := nth j (combination _ _ _) 0%Z). set (B := nth j (bias_row l) 0%Z).
    assert (ES : IZR S = sum n (fun i => IZR (nth i (centre x) 0%Z) * IZR (nth j (nth i (matrix_rows l) []) 0%Z))).
    { unfold S. apply combination_sum; assumption. }
    set (c i := IZR (nth i (centre x) 0%Z)) in *. set (w i := IZR (nth j (nth i (matrix_rows l) []) 0%Z)) in *.
    assert (Ef : forall i, (i < n)%nat -> Rabs (f i j * pow2 bits - w i) <= 1 / 2).
    { intros i I. unfold w. destruct right as (-> & _). now apply (nearest_half bits W n m). }
    assert (Eg : Rabs (g j * pow2 bits - IZR B) <= 1 / 2).
    { unfold B. destruct right as (_ & -> & _).
      replace (hd [] (nearest bits b)) with (nth 0 (nearest bits b) []) by (destruct (nearest bits b); reflexivity).
      exact (nearest_half bits b 1 m _ of_b 0 j ltac:(lia) J). }
    pose proof (pow2_pos bits) as P. pose proof (pow2_pos (- bits)) as P'. pose proof (pow2_opp bits) as inv.
    (* the sum, in units of 2^-(2 bits), and how far it is from that of the centres *)
    assert (spread : Rabs (sum n (fun i => vector i * f i j) * pow2 bits * pow2 bits - IZR S)
                     <= IZR (radius x) * IZR (column_bound l) + sum n (fun i => Rabs (c i)) * (1 / 2)).
    { rewrite ES, <- !sum_scale_r, <- sum_minus. apply Rle_trans with (1 := sum_abs _ _).
      apply Rle_trans with (sum n (fun i => IZR (radius x) * (Rabs (w i) + 1) + Rabs (c i) * (1 / 2))).
      - apply sum_le. intros i I. specialize (Ef i I). specialize (near i I). change (IZR (nth i (centre x) 0%Z)) with (c i) in near.
        set (X := vector i * pow2 bits) in *. set (F := f i j * pow2 bits) in *.
        replace (vector i * f i j * pow2 bits * pow2 bits) with (X * F) by (unfold X, F; ring). clearbody X F.
        match goal with |- Rabs ?a <= _ => replace a with ((X - c i) * F + c i * (F - w i)) by (unfold c, w; ring) end.
        apply Rle_trans with (1 := Rabs_triang _ _). rewrite !Rabs_mult. apply Rplus_le_compat.
        + apply Rmult_le_compat; try apply Rabs_pos; [assumption|].
          replace F with (w i + (F - w i)) by ring. apply Rle_trans with (1 := Rabs_triang _ _). lra.
        + apply Rmult_le_compat_l; [apply Rabs_pos | assumption].
      - rewrite sum_plus, sum_scale, sum_scale_r, sum_plus. apply Rplus_le_compat_r. apply Rmult_le_compat_l; [now apply (IZR_le 0)|].
        apply Rle_trans with (2 := bound_covers j J). rewrite sum_constant. unfold w. lra. }
    assert (scaled : Rabs (sum n (fun i => vector i * f i j) * pow2 bits - IZR S * pow2 (- bits))
                     <= IZR (shift_up (radius x * column_bound l) bits) + IZR (shift_up (fold_right Z.add 0%Z sizes) (bits + 1))).
    { pose proof (shift_up_ge (radius x * column_bound l) bits) as up1. pose proof (shift_up_ge (fold_right Z.add 0%Z sizes) (bits + 1)) as up2.
      rewrite mult_IZR in up1. unfold sizes in up2 at 1. rewrite (fold_abs_sum n) in up2 by exact Lx. change (sum n (fun i => Rabs (IZR (nth i (centre x) 0%Z)))) with (sum n (fun i => Rabs (c i))) in up2.
      assert (halved : pow2 (- (bits + 1)) = pow2 (- bits) * (1 / 2)).
      { replace (- (bits + 1))%Z with (- bits + -1)%Z by lia. rewrite pow2_add. f_equal. simpl. lra. }
      rewrite halved in up2.
      replace (sum n (fun i => vector i * f i j) * pow2 bits - IZR S * pow2 (- bits))
        with ((sum n (fun i => vector i * f i j) * pow2 bits * pow2 bits - IZR S) * pow2 (- bits)).
      2:{ rewrite Rmult_minus_distr_r. f_equal. rewrite Rmult_assoc, inv. ring. }
      rewrite Rabs_mult, (Rabs_right (pow2 (- bits))) by lra.
      apply Rle_trans with ((IZR (radius x) * IZR (column_bound l) + sum n (fun i => Rabs (c i)) * (1 / 2)) * pow2 (- bits)); [apply Rmult_le_compat_r; lra|].
      lra. }
    pose proof (shift_down_le (S + Z.shiftl B bits + half) bits) as D1. pose proof (shift_down_gt (S + Z.shiftl B bits + half) bits) as D2.
    pose proof (shift_down_le half bits) as D3. pose proof (shift_down_gt half bits) as D4. unfold shift_down in *.
    rewrite !plus_IZR, shiftl_real in D1, D2 by assumption.
    assert (unit : IZR B * pow2 bits * pow2 (- bits) = IZR B) by (rewrite Rmult_assoc, inv; ring).
    rewrite !Rmult_plus_distr_r, unit in D1, D2.
    rewrite minus_IZR, !plus_IZR. rewrite Rmult_plus_distr_r.
    apply Rabs_between in scaled. apply Rabs_between in Eg. apply Rabs_between. simpl (IZR 2). lra.
Qed.
End Image.

(** ** Products of two vectors *)

Definition product_doubt (a b : ball) : Z :=
  (radius a * fold_right Z.add 0 (map Z.abs (centre b)) + radius b * fold_right Z.add 0 (map Z.abs (centre a))
   + Z.of_nat (length (centre b)) * radius a * radius b)%Z.

Lemma product_near : forall bits a b n f g, holds_vector bits a n f -> holds_vector bits b n g ->
  Rabs (sum n (fun h => f h * g h) * pow2 (2 * bits) - IZR (dot (centre a) (centre b))) <= IZR (product_doubt a b).
Proof.
  intros bits a b n f g (La & Ra & A) (Lb & Rb & B). unfold product_doubt.
  rewrite (dot_sum n) by assumption. rewrite !plus_IZR, !mult_IZR, (fold_abs_sum n _ La), (fold_abs_sum n _ Lb), Lb, <- INR_IZR_INZ.
  replace (2 * bits)%Z with (bits + bits)%Z by lia. rewrite pow2_add, <- sum_scale_r, <- sum_minus.
  apply (IZR_le 0) in Ra. apply (IZR_le 0) in Rb.
  apply Rle_trans with (1 := sum_abs _ _).
  apply Rle_trans with (sum n (fun i => IZR (radius a) * Rabs (IZR (nth i (centre b) 0%Z)) + IZR (radius b) * Rabs (IZR (nth i (centre a) 0%Z)) + IZR (radius a) * IZR (radius b))).
  - apply sum_le. intros i I. specialize (A i I). specialize (B i I).
    set (ca := IZR (nth i (centre a) 0%Z)) in *. set (cb := IZR (nth i (centre b) 0%Z)) in *.
    set (X := f i * pow2 bits) in *. set (Y := g i * pow2 bits) in *.
    replace (f i * g i * (pow2 bits * pow2 bits)) with (X * Y) by (unfold X, Y; ring). clearbody X Y.
    match goal with |- Rabs ?a <= _ => replace a with ((X - ca) * cb + (Y - cb) * ca + (X - ca) * (Y - cb)) by ring end.
    apply Rle_trans with (1 := Rabs_triang _ _). apply Rplus_le_compat; [apply Rle_trans with (1 := Rabs_triang _ _); apply Rplus_le_compat|];
      rewrite Rabs_mult; apply Rmult_le_compat; try apply Rabs_pos; try assumption; lra.
  - right. rewrite !sum_plus, !sum_scale. rewrite sum_constant. ring.
Qed.
