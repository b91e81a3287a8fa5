(** rules.md, "Lines": a line of any slope above, or below, ReLU on an interval. *)

From Coq Require Import Reals ZArith List Lra Lia.
From Compact Require Import Spec.Model Integer.Dyadic.
Open Scope R_scope.

(** ReLU less the line through 0, rounded up by less than 1 unit. *)
Definition above_line (bits slope z : Z) : Z := (Z.max z 0 - Z.shiftr (slope * z) bits)%Z.

(** In units of [2 ^ -bits], as are the ends of the interval and the slope. *)
Definition intercept (bits low high slope : Z) (above : bool) : Z :=
  let at_low := above_line bits slope low in
  let at_high := above_line bits slope high in
  let at_bend := above_line bits slope (Z.min (Z.max low 0) high) in
  if above then (Z.max (Z.max at_low at_high) at_bend + 1)%Z else (Z.min (Z.min at_low at_high) at_bend - 1)%Z.

Section Line.
Variables (bits slope : Z).
Notation s := (IZR slope * pow2 (- bits)).

Lemma above_line_near : forall z, Rmax 0 (IZR z) - s * IZR z <= IZR (above_line bits slope z) <= Rmax 0 (IZR z) - s * IZR z + 1.
Proof.
  intros z. unfold above_line. rewrite minus_IZR.
  assert (M : IZR (Z.max z 0) = Rmax 0 (IZR z)).
  { destruct (Z.max_spec z 0) as [[L ->]|[L ->]]; [apply Z.lt_le_incl, IZR_le in L | apply IZR_le in L]; unfold Rmax; destruct (Rle_dec 0 (IZR z)); simpl in *; lra. }
  pose proof (shift_down_le (slope * z) bits) as A. pose proof (shift_down_gt (slope * z) bits) as B. unfold shift_down in *.
  rewrite mult_IZR in A, B. rewrite M. split; lra.
Qed.

Variables (low high : Z) (u : R).
Hypothesis inside : IZR low <= u <= IZR high.

Lemma line_above : Rmax 0 u <= s * u + IZR (intercept bits low high slope true).
Proof.
  unfold intercept. set (a := above_line bits slope low). set (b := above_line bits slope high). set (c := above_line bits slope _).
  pose proof (above_line_near low) as A. pose proof (above_line_near high) as B. fold a in A. fold b in B.
  assert (a <= Z.max (Z.max a b) c)%Z as MA by lia. assert (b <= Z.max (Z.max a b) c)%Z as MB by lia.
  apply IZR_le in MA. apply IZR_le in MB. rewrite plus_IZR. generalize dependent (IZR (Z.max (Z.max a b) c)). intros top MA MB.
  generalize dependent s. intros k A B. unfold Rmax in *.
  destruct (Rle_dec 0 u), (Rle_dec 0 (IZR low)), (Rle_dec 0 (IZR high)); try lra; destruct (Rle_dec k 1), (Rle_dec k 0); nra.
Qed.

Lemma line_below : s * u + IZR (intercept bits low high slope false) <= Rmax 0 u.
Proof.
  unfold intercept. set (bend := Z.min (Z.max low 0) high).
  set (a := above_line bits slope low). set (b := above_line bits slope high). set (c := above_line bits slope bend).
  pose proof (above_line_near low) as A. pose proof (above_line_near high) as B. pose proof (above_line_near bend) as C. fold a in A. fold b in B. fold c in C.
  assert (Z.min (Z.min a b) c <= a)%Z as MA by lia. assert (Z.min (Z.min a b) c <= b)%Z as MB by lia. assert (Z.min (Z.min a b) c <= c)%Z as MC by lia.
  apply IZR_le in MA. apply IZR_le in MB. apply IZR_le in MC. rewrite minus_IZR.
  assert (zero : (low <= 0)%Z -> (0 <= high)%Z -> IZR bend = 0) by (intros; f_equal; unfold bend; lia).
  generalize dependent (IZR (Z.min (Z.min a b) c)). intros least MA MB MC.
  assert (Z1 : IZR low <= 0 -> 0 <= IZR high -> IZR bend = 0) by (intros; apply zero; now apply le_IZR).
  clear zero. generalize dependent s. intros k A B C. unfold Rmax in *.
  destruct (Rle_dec 0 u), (Rle_dec 0 (IZR low)), (Rle_dec 0 (IZR high)); try lra;
    try (rewrite Z1 in C by lra; destruct (Rle_dec 0 0); [|lra]); destruct (Rle_dec k 1), (Rle_dec k 0); nra.
Qed.

(** Times a number of either sign. *)
Theorem line_times : forall favour (above : bool), (above = true -> 0 <= favour) -> (above = false -> favour <= 0) ->
  favour * Rmax 0 u <= favour * (s * u + IZR (intercept bits low high slope above)).
Proof.
  intros favour [] positive negative.
  - apply Rmult_le_compat_l; [now apply positive | exact line_above].
  - specialize (negative eq_refl). pose proof line_below. nra.
Qed.
End Line.
