(** rules.md, Lemma 3: how far the entries of a row can differ, exactly, or bounded without multiplying out. *)

From Coq Require Import Reals ZArith List Lra Lia Arith.
From Compact Require Import Spec.Model Real.Sums Real.Products Integer.Dyadic Integer.Matrix Real.ScaledExp.
Import ListNotations.
Open Scope Z_scope.

(** The largest entry minus the smallest. *)
Definition spread_of (row : list Z) : Z := largest row + largest (map Z.opp row).

Definition row_spreads (A : matrix) : list Z := map spread_of (rows A).

(** For each row of [A] the sum of its entries' sizes, times bounds. *)
Definition weighted_spreads (A : list (list Z)) (spreads : list Z) : list Z := map (fun row => dot (map Z.abs row) spreads) A.

Definition negate (A : matrix) : matrix := {| rows := map (map Z.opp) (rows A); exponent := exponent A |}.

Lemma spread_of_ge : forall row i j, (i < length row)%nat -> (j < length row)%nat -> nth i row 0 - nth j row 0 <= spread_of row.
Proof.
  intros row i j I J. unfold spread_of. pose proof (largest_ge row (nth i row 0) (nth_In _ _ I)).
  pose proof (largest_ge (map Z.opp row) (- nth j row 0) (in_map Z.opp _ _ (nth_In _ _ J))). lia.
Qed.

(** What [spreads] say of the rows of a table: no two entries of a row are further apart. *)
Definition bound_spreads (r c : nat) (f : nat -> nat -> R) (unit : Z) (spreads : list Z) : Prop :=
  length spreads = r /\ forall i j j', (i < r)%nat -> (j < c)%nat -> (j' < c)%nat -> (f i j - f i j' <= IZR (nth i spreads 0%Z) * pow2 unit)%R.

Lemma row_spreads_bound : forall A r c f, stands_for A r c f -> bound_spreads r c f (exponent A) (row_spreads A).
Proof.
  intros A r c f [S F]. split; [unfold row_spreads; rewrite map_length; apply S|].
  intros i j j' I J J'. rewrite !F by assumption. unfold number, row_spreads.
  rewrite (nth_map _ _ spread_of (rows A) i [] 0) by (destruct S as [-> _]; exact I).
  rewrite <- Rmult_minus_distr_r, <- minus_IZR. apply Rmult_le_compat_r; [apply Rlt_le, pow2_pos|]. apply IZR_le.
  unfold entry. apply spread_of_ge; rewrite (row_length A r c); assumption.
Qed.

Lemma weighted_spreads_bound : forall A r n c f g unit spreads, stands_for A r n f -> bound_spreads n c g unit spreads ->
  bound_spreads r c (fun i j => sum n (fun l => f i l * g l j)%R) (exponent A + unit) (weighted_spreads (rows A) spreads).
Proof.
  intros A r n c f g unit spreads [S F] [L B]. split; [unfold weighted_spreads; rewrite map_length; apply S|].
  intros i j j' I J J'. unfold weighted_spreads.
  rewrite (nth_map _ _ _ (rows A) i [] 0) by (destruct S as [-> _]; exact I).
  assert (Lr : length (nth i (rows A) []) = n) by now apply (row_length A r n).
  rewrite (dot_sum n) by (rewrite ?map_length; assumption). rewrite pow2_add, <- sum_minus, <- sum_scale_r. apply sum_le. intros l Hl.
  rewrite (nth_map _ _ Z.abs _ l 0 0) by now rewrite Lr. rewrite F by assumption. unfold number. fold (entry A i l). rewrite abs_IZR.
  pose proof (B l j j' Hl J J') as up. pose proof (B l j' j Hl J' J) as down.
  pose proof (pow2_pos (exponent A)) as P. set (x := IZR (entry A i l)) in *. set (s := (IZR (nth l spreads 0%Z) * pow2 unit)%R) in *.
  set (d := (g l j - g l j')%R) in *.
  replace (x * powerRZ 2 (exponent A) * g l j - x * powerRZ 2 (exponent A) * g l j')%R with (x * d * pow2 (exponent A))%R by (unfold d; ring).
  replace (Rabs x * IZR (nth l spreads 0%Z) * (pow2 (exponent A) * pow2 unit))%R with (Rabs x * s * pow2 (exponent A))%R by (unfold s; ring).
  apply Rmult_le_compat_r; [lra|]. unfold Rabs. destruct (Rcase_abs x); unfold d in *; nra.
Qed.

Lemma stands_negate : forall A r c f, stands_for A r c f -> stands_for (negate A) r c (fun i j => - f i j)%R.
Proof.
  intros A r c f [S F]. split.
  - split; cbn [negate rows]; [rewrite map_length; apply S|]. rewrite Forall_map. destruct S as [_ S]. revert S. apply Forall_impl.
    intros row L. now rewrite map_length.
  - intros i j I J. rewrite F by assumption. unfold number, entry. cbn [negate rows exponent].
    rewrite (nth_map _ _ (map Z.opp) (rows A) i [] []) by (destruct S as [-> _]; exact I).
    rewrite (nth_map _ _ Z.opp _ j 0 0) by (rewrite (row_length A r c); assumption). rewrite opp_IZR. ring.
Qed.

(** ** Bounds in units of their own *)

Record bounds := Bounds { of_rows : list Z; unit_of : Z }.

Definition bounded (r c : nat) (f : nat -> nat -> R) (B : bounds) : Prop := bound_spreads r c f (unit_of B) (of_rows B).

Definition spreads_of (A : matrix) : bounds := Bounds (row_spreads A) (exponent A).

(** Of [A B], without multiplying, from bounds for [B]. *)
Definition times_spreads (A : matrix) (B : bounds) : bounds := Bounds (weighted_spreads (rows A) (of_rows B)) (exponent A + unit_of B).

(** Row by row, in the finer unit. *)
Definition row_by_row (op : Z -> Z -> Z) (A B : bounds) : bounds :=
  let e := Z.min (unit_of A) (unit_of B) in
  Bounds (zip op (finer (unit_of A - e) (of_rows A)) (finer (unit_of B - e) (of_rows B))) e.

Lemma bounded_ext : forall r c f g B, bounded r c f B -> (forall i j, (i < r)%nat -> (j < c)%nat -> g i j = f i j) -> bounded r c g B.
Proof. intros r c f g B [L D] same. split; [exact L|]. intros. rewrite !same by assumption. now apply D. Qed.

Lemma bounded_by_spreads : forall A r c f, stands_for A r c f -> bounded r c f (spreads_of A).
Proof. exact row_spreads_bound. Qed.

Lemma bounded_times : forall A B r n c f g, stands_for A r n f -> bounded n c g B -> bounded r c (product_of n f g) (times_spreads A B).
Proof. intros A B r n c f g. exact (weighted_spreads_bound A r n c f g (unit_of B) (of_rows B)). Qed.

Lemma bounds_finer : forall r c f unit e spreads, bound_spreads r c f unit spreads -> e <= unit ->
  bound_spreads r c f e (finer (unit - e) spreads).
Proof.
  intros r c f unit e spreads [L B] small. split; [now rewrite finer_length|]. intros i j j' I J J'.
  rewrite finer_nth by lia. rewrite Rmult_assoc, <- pow2_add. replace (unit - e + e) with unit by lia. now apply B.
Qed.

Lemma bounded_sum : forall r c f g A B, bounded r c f A -> bounded r c g B ->
  bounded r c (fun i j => f i j + g i j)%R (row_by_row Z.add A B).
Proof.
  intros r c f g A B FA FB. unfold row_by_row. set (e := Z.min (unit_of A) (unit_of B)).
  destruct (bounds_finer _ _ _ _ e _ FA ltac:(lia)) as [LA DA]. destruct (bounds_finer _ _ _ _ e _ FB ltac:(lia)) as [LB DB].
  split; cbn [of_rows unit_of]; [now apply zip_length|]. intros i j j' I J J'. rewrite zip_nth, plus_IZR by lia.
  specialize (DA i j j' I J J'). specialize (DB i j j' I J J'). lra.
Qed.

Lemma bounded_least : forall r c f A B, bounded r c f A -> bounded r c f B -> bounded r c f (row_by_row Z.min A B).
Proof.
  intros r c f A B FA FB. unfold row_by_row. set (e := Z.min (unit_of A) (unit_of B)).
  destruct (bounds_finer _ _ _ _ e _ FA ltac:(lia)) as [LA DA]. destruct (bounds_finer _ _ _ _ e _ FB ltac:(lia)) as [LB DB].
  split; cbn [of_rows unit_of]; [now apply zip_length|]. intros i j j' I J J'. rewrite zip_nth by lia.
  destruct (Z.min_dec (nth i (finer (unit_of A - e) (of_rows A)) 0) (nth i (finer (unit_of B - e) (of_rows B)) 0)) as [-> | ->]; auto.
Qed.

(** ** The mean of the rows, rounded down, and what is left of a matrix without it. Any other row would do for what follows. *)

Definition mean_row (A : matrix) : matrix :=
  {| rows := [map (fun total => total / Z.of_nat (length (rows A))) (fold_right (zip Z.add) (repeat 0 (columns A)) (rows A))];
     exponent := exponent A |}.

Definition centred (A : matrix) : matrix := add_row A (negate (mean_row A)).

Lemma mean_row_shape : forall A r c, has_shape A r c -> (0 < r)%nat -> has_shape (mean_row A) 1 c.
Proof.
  intros A r c S some. split; [reflexivity|]. constructor; [|constructor]. rewrite map_length.
  rewrite (columns_of A r c S some). destruct S as [_ S]. induction S as [|row rest L _ IH]; [apply repeat_length|].
  cbn [fold_right]. now apply zip_length.
Qed.

Lemma stands_centred : forall A r c f, stands_for A r c f -> (0 < r)%nat ->
  stands_for (centred A) r c (fun i j => f i j + - number (mean_row A) 0 j)%R.
Proof.
  intros A r c f S some. apply (stands_add_row A (negate (mean_row A)) r c f (fun i j => - number (mean_row A) i j)%R S).
  apply stands_negate, stands_number. now apply mean_row_shape with (1 := proj1 S).
Qed.

(** Of [A B], from the product [B'] of the mean row of [A] and [B], and bounds for the rest of [A] times [B]. *)
Definition with_mean (B' : matrix) (r : nat) (others : bounds) : bounds :=
  row_by_row Z.add (Bounds (repeat (hd 0 (row_spreads B')) r) (exponent B')) others.

Lemma bounded_with_mean : forall mean B' r n c f g others, stands_for B' 1 c (product_of n (number mean) g) ->
  bounded r c (product_of n (fun i l => f i l + - number mean 0 l)%R g) others ->
  bounded r c (product_of n f g) (with_mean B' r others).
Proof.
  intros mean B' r n c f g others SB O.
  apply bounded_ext with (fun i j => product_of n (number mean) g 0%nat j + product_of n (fun i l => f i l + - number mean 0 l)%R g i j)%R.
  - apply (bounded_sum r c (fun _ j => product_of n (number mean) g 0%nat j)); [|exact O].
    destruct (bounded_by_spreads _ _ _ _ SB) as [L D]. split; cbn [of_rows unit_of spreads_of] in *; [apply repeat_length|].
    intros i j j' I J J'. rewrite (nth_indep _ 0 (hd 0 (row_spreads B'))), nth_repeat by now rewrite repeat_length.
    specialize (D 0%nat j j' ltac:(lia) J J'). destruct (row_spreads B'); exact D.
  - intros i j _ _. unfold product_of. rewrite <- sum_plus. apply sum_ext. intros. ring.
Qed.
