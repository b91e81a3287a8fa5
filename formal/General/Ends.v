(** rules.md, "Features" and "Worst means": tables of gains and of attention weights in a region, one number for each
    position that is seen and each token. *)

From Coq Require Import Reals ZArith List Lra Lia Arith Bool.
From Compact Require Import Spec.Model Spec.General Integer.Dyadic Integer.Matrix Integer.Tables Real.ScaledExp Real.Sums.
From Compact Require Import General.Heads General.Balls General.Tables General.Means.
Import ListNotations.
Open Scope R_scope.

(** ** Lists of lists *)

Fixpoint zip_with {A B C : Type} (f : A -> B -> C) (a : list A) (b : list B) : list C :=
  match a, b with x :: a', y :: b' => f x y :: zip_with f a' b' | _, _ => [] end.

Lemma zip_with_nth : forall (A B C : Type) (f : A -> B -> C) a b i x y z, (i < length a)%nat -> (i < length b)%nat ->
  nth i (zip_with f a b) z = f (nth i a x) (nth i b y).
Proof.
  intros A B C f. induction a as [|u a IH]; intros [|v b] i x y z I J; cbn in *; try lia.
  destruct i as [|i]; [reflexivity | apply IH; lia].
Qed.

Lemma zip_with_length : forall (A B C : Type) (f : A -> B -> C) a b n, length a = n -> length b = n -> length (zip_with f a b) = n.
Proof.
  intros A B C f. induction a as [|u a IH]; intros [|v b] n I J; cbn in *; try lia. destruct n; [lia|]. f_equal. apply IH; lia.
Qed.

Definition rectangle {A : Type} (r c : nat) (T : list (list A)) : Prop := length T = r /\ forall p, (p < r)%nat -> length (nth p T []) = c.

Section Rectangles.
Context {A B C : Type} (f : A -> B -> C) (r c : nat).

Lemma zip2_rectangle : forall a b, rectangle r c a -> rectangle r c b -> rectangle r c (zip_with (zip_with f) a b).
Proof.
  intros a b [La Ra] [Lb Rb]. split; [now apply zip_with_length|]. intros p P.
  rewrite (zip_with_nth _ _ _ _ a b p [] []) by lia. apply zip_with_length; auto.
Qed.

Lemma zip2_at : forall a b p t x y z, rectangle r c a -> rectangle r c b -> (p < r)%nat -> (t < c)%nat ->
  at2 z (zip_with (zip_with f) a b) p t = f (at2 x a p t) (at2 y b p t).
Proof.
  intros a b p t x y z [La Ra] [Lb Rb] P I. unfold at2. rewrite (zip_with_nth _ _ _ _ a b p [] []) by lia.
  apply zip_with_nth; [rewrite Ra | rewrite Rb]; assumption.
Qed.

Lemma map2_rectangle : forall (g : A -> B) a, rectangle r c a -> rectangle r c (map (map g) a).
Proof.
  intros g a [La Ra]. split; [now rewrite map_length|]. intros p P. rewrite (nth_map _ _ _ _ p [] []) by lia. rewrite map_length. auto.
Qed.

Lemma map2_at : forall (g : A -> B) a p t x y, rectangle r c a -> (p < r)%nat -> (t < c)%nat -> at2 y (map (map g) a) p t = g (at2 x a p t).
Proof. intros g a p t x y [La Ra] P I. apply at2_map; [lia | now rewrite Ra]. Qed.
End Rectangles.

(** ** Gains of a class of wrong outputs on the label *)

Definition outputs_in (m : nat) (mask : Z) : list nat := filter (fun y => Z.testbit mask (Z.of_nat y)) (seq 0 m).

Definition difference (c y : nat) (b : ball) : Z := (nth y (centre b) 0 - nth c (centre b) 0 + 2 * radius b)%Z.
Definition gain_of (c : nat) (ys : list nat) (b : ball) : Z := largest (map (fun y => difference c y b) ys).
Definition gains_of (c : nat) (ys : list nat) (one : one_head_tables) : list (list Z) := map (map (gain_of c ys)) (adding one).

(** The direct path, the biases and the margin. *)
Definition constant_of (w : layer_weights) (bits : Z) (margin : fraction) (c : nat) (ys : list nat) (b : ball) : Z :=
  let bias y := entry (unembed_bias w) 0 y in
  let most := margin_up margin (- bits) in
  largest (map (fun y => difference c y b + (shift_up (bias y - bias c) (- bits - exponent (unembed_bias w)) + most))%Z ys).

Lemma in_outputs_in : forall m mask y, In y (outputs_in m mask) <-> (y < m)%nat /\ Z.testbit mask (Z.of_nat y) = true.
Proof. intros m mask y. unfold outputs_in. rewrite filter_In, in_seq. intuition lia. Qed.

Lemma difference_ge : forall bits b m f c y, holds_vector bits b m f -> (c < m)%nat -> (y < m)%nat ->
  (f y - f c) * pow2 bits <= IZR (difference c y b).
Proof.
  intros bits b m f c y (_ & _ & near) C Y. pose proof (near c C) as Nc. pose proof (near y Y) as Ny.
  apply Rabs_between in Nc. apply Rabs_between in Ny. unfold difference. rewrite plus_IZR, minus_IZR, mult_IZR. lra.
Qed.

Lemma gain_ge : forall bits b m f c ys y, holds_vector bits b m f -> (c < m)%nat -> (y < m)%nat -> In y ys ->
  (f y - f c) * pow2 bits <= IZR (gain_of c ys b).
Proof.
  intros bits b m f c ys y H C Y I. apply Rle_trans with (1 := difference_ge _ _ _ _ _ _ H C Y). apply IZR_le. unfold gain_of.
  apply largest_ge. exact (in_map (fun y => difference c y b) ys y I).
Qed.

Lemma constant_ge : forall w bits margin c ys y b f, well_shaped w = true -> (0 < snd margin)%Z ->
  holds_vector bits b (size_m w) f -> (c < size_m w)%nat -> (y < size_m w)%nat -> In y ys ->
  (f y - f c + (b_unembed (layer_of w) y - b_unembed (layer_of w) c + value_of margin)) * pow2 bits <= IZR (constant_of w bits margin c ys b).
Proof.
  intros w bits margin c ys y b f shaped positive H C Y I.
  apply Rle_trans with (IZR (difference c y b + (shift_up (entry (unembed_bias w) 0 y - entry (unembed_bias w) 0 c) (- bits - exponent (unembed_bias w)) + margin_up margin (- bits)))).
  2:{ apply IZR_le. unfold constant_of. apply largest_ge. refine (in_map _ ys y I). }
  pose proof (difference_ge _ _ _ _ _ _ H C Y) as D. pose proof (margin_up_bounds margin (- bits) positive) as [_ M].
  pose proof (shift_up_ge (entry (unembed_bias w) 0 y - entry (unembed_bias w) 0 c) (- bits - exponent (unembed_bias w))) as B.
  pose proof (pow2_pos bits) as P. pose proof (pow2_opp bits) as inv. rewrite !plus_IZR.
  assert (EB : (b_unembed (layer_of w) y - b_unembed (layer_of w) c) * pow2 bits
    = IZR (entry (unembed_bias w) 0 y - entry (unembed_bias w) 0 c) * pow2 (- (- bits - exponent (unembed_bias w)))).
  { cbn [b_unembed layer_of]. unfold number. replace (- (- bits - exponent (unembed_bias w)))%Z with (exponent (unembed_bias w) + bits)%Z by lia.
    rewrite pow2_add, minus_IZR. ring. }
  assert (EM : value_of margin * pow2 bits <= IZR (margin_up margin (- bits))).
  { apply Rle_trans with (IZR (margin_up margin (- bits)) * pow2 (- bits) * pow2 bits); [apply Rmult_le_compat_r; lra|].
    rewrite Rmult_assoc, (Rmult_comm (pow2 (- bits))), inv. lra. }
  rewrite !Rmult_plus_distr_r, EB. lra.
Qed.

(** ** Attention weights in one unit *)

(** [flags] says which tokens are read at a position; all powers of these are known. *)
Definition all_known (flags : list (list bool)) (powers : list (list (option power))) : bool :=
  forallb (forallb (fun b => b)) (zip_with (zip_with (fun (f : bool) (a : option power) => match a with None => negb f | Some _ => true end)) flags powers).

Definition shifts_read (flags : list (list bool)) (powers : list (list (option power))) : list Z :=
  concat (concat (zip_with (zip_with (fun (f : bool) (a : option power) => match a with Some a => if f then [shift a] else [] | None => [] end)) flags powers)).

Definition least_of (l : list Z) : Z := match l with [] => 0%Z | x :: rest => fold_left Z.min rest x end.

Definition ends_read (flags : list (list bool)) (powers : list (list (option power))) : list (list (Z * Z)) :=
  let least := least_of (shifts_read flags powers) in
  zip_with (zip_with (fun (f : bool) (a : option power) => match a with
    | Some a => if f then (shift_down (low a) (shift a - least), shift_up (high a) (shift a - least)) else (0, 0)%Z
    | None => (0, 0)%Z end)) flags powers.

Definition read_at (flags : list (list bool)) (p t : nat) : bool := at2 false flags p t.

Lemma ends_right : forall bits r c flags powers, rectangle r c flags -> rectangle r c powers -> all_known flags powers = true ->
  rectangle r c (ends_read flags powers) /\
  exists unit, 0 < unit /\ forall p t x, (p < r)%nat -> (t < c)%nat -> read_at flags p t = true ->
    (forall a, at2 None powers p t = Some a -> encloses bits a x) -> between unit (at2 (0, 0)%Z (ends_read flags powers) p t) x.
Proof.
  intros bits r c flags powers SF SP known. split; [unfold ends_read; now apply zip2_rectangle|].
  unfold ends_read. set (least := least_of _). exists (pow2 (bits + least)). split; [apply pow2_pos|].
  intros p t x P I flagged encloses_. rewrite (zip2_at _ r c flags powers p t false None) by assumption.
  unfold read_at in flagged. rewrite flagged.
  destruct (at2 None powers p t) as [a|] eqn:E.
  - destruct (encloses_ a eq_refl) as [natural [lo hi]].
    assert (units : forall n, IZR n * pow2 (- (bits + shift a)) * pow2 (bits + least) = IZR n * pow2 (- (shift a - least))).
    { intros. rewrite Rmult_assoc, <- pow2_add. repeat f_equal. lia. }
    pose proof (pow2_pos (bits + least)). split; cbn [fst snd]; [now apply shift_down_nonneg|]. split.
    + apply Rle_trans with (1 := shift_down_le _ _). rewrite <- units. apply Rmult_le_compat_r; lra.
    + apply Rle_trans with (2 := shift_up_ge _ _). rewrite <- units. apply Rmult_le_compat_r; lra.
  - exfalso. unfold all_known in known. rewrite forallb_forall in known.
    set (K := zip_with _ flags powers) in known.
    assert (SK : rectangle r c K) by (now apply zip2_rectangle).
    assert (N : at2 true K p t = false) by (unfold K; rewrite (zip2_at _ r c flags powers p t false None) by assumption; now rewrite E, flagged).
    destruct SK as [LK RK]. specialize (known (nth p K []) ltac:(apply nth_In; lia)). rewrite forallb_forall in known.
    specialize (known (at2 true K p t) ltac:(unfold at2; apply nth_In; rewrite RK; assumption)). congruence.
Qed.

(** ** Worst terms *)

Definition worst_terms (less : Z) (gains : list (list Z)) (ends : list (list (Z * Z))) : list (list Z) := zip_with (zip_with (worst less)) gains ends.

(** What is not seen adds nothing. *)
Definition as_table (T : list (list Z)) (p t : nat) : Z := at2 0%Z T p t.

Lemma as_table_beyond : forall r c T p t, rectangle r c T -> (r <= p)%nat -> as_table T p t = 0%Z.
Proof. intros r c T p t [L _] P. unfold as_table, at2. rewrite (nth_overflow T) by lia. now destruct t. Qed.

Lemma sum_of_table : forall r c T k x, rectangle r c T -> (r <= k)%nat ->
  sum k (fun p => IZR (as_table T p (nth p x 0%nat))) = sum r (fun p => IZR (as_table T p (nth p x 0%nat))).
Proof.
  intros r c T k x shape P. induction k as [|k IH]; [now replace r with 0%nat by lia|].
  destruct (Nat.eq_dec r (S k)) as [->|]; [reflexivity|]. cbn [sum]. rewrite IH by lia.
  rewrite (as_table_beyond r c) by (assumption || lia). simpl (IZR 0). ring.
Qed.
