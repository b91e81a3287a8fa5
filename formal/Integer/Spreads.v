(** rules.md, Lemma 3: how far the entries of a row can differ, exactly, or bounded without multiplying out. *)

From Coq Require Import Reals ZArith List Lra Lia Arith.
From Compact Require Import Spec.Model Real.Sums Integer.Dyadic Integer.Matrix Real.ScaledExp.
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
