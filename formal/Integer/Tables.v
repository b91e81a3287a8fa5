(** The circuits of the head as exact integer tables, and these rounded to multiples of a power of two. *)

From Coq Require Import Reals ZArith List Lra Lia Arith.
From Compact Require Import Spec.Model Real.Sums Real.Separation Integer.Dyadic Integer.Matrix.
Import ListNotations.
Open Scope R_scope.

(** ** Exact tables *)

Definition residual_table (w : weights) : matrix := add_row (embed_W_E w) (last_row (pos_embed_W_pos w)).
Definition OVU_table (w : weights) : matrix := mul (attn_W_V w) (mul (attn_W_O w) (unembed_W_U w)).
Definition EVOU_table (w : weights) : matrix := mul (embed_W_E w) (OVU_table w).
Definition PVOU_table (w : weights) : matrix := mul (pos_embed_W_pos w) (OVU_table w).
Definition direct_constant_table (w : weights) : matrix :=
  add_row (mul (add_row (mul (attn_b_V w) (attn_W_O w)) (attn_b_O w)) (unembed_W_U w)) (unembed_b_U w).
Definition EUPU_table (w : weights) : matrix :=
  add_row (mul (residual_table w) (unembed_W_U w)) (direct_constant_table w).
Definition query_key_table (w : weights) : matrix :=
  mul_transposed (add_row (mul (residual_table w) (attn_W_Q w)) (attn_b_Q w)) (attn_W_K w).
Definition token_scores_table (w : weights) : matrix := mul_transposed (query_key_table w) (embed_W_E w).
Definition position_scores_table (w : weights) : matrix := mul_transposed (query_key_table w) (pos_embed_W_pos w).

(** The sizes of [model_of w]. *)
Definition vocabulary (w : weights) : nat := length (rows (embed_W_E w)).
Definition width (w : weights) : nat := columns (embed_W_E w).
Definition head_size (w : weights) : nat := columns (attn_W_Q w).
Definition positions (w : weights) : nat := length (rows (pos_embed_W_pos w)).

Definition well_formed (w : weights) : bool :=
  let (v, d) := (vocabulary w, width w) in let (h, k) := (head_size w, positions w) in
  forallb (fun n => Nat.ltb 0 n) [v; d; h; k]
  && forallb (fun one => shape_test (fst one) (fst (snd one)) (snd (snd one)))
       [(embed_W_E w, (v, d)); (pos_embed_W_pos w, (k, d)); (attn_W_Q w, (d, h)); (attn_W_K w, (d, h));
        (attn_W_V w, (d, h)); (attn_W_O w, (h, d)); (unembed_W_U w, (d, v)); (attn_b_Q w, (1%nat, h));
        (attn_b_K w, (1%nat, h)); (attn_b_V w, (1%nat, h)); (attn_b_O w, (1%nat, d)); (unembed_b_U w, (1%nat, v))].

Section Exact.
Variable w : weights.
Hypothesis good : well_formed w = true.
Notation M := (model_of w).
Notation v := (d_vocab M).
Notation d := (d_model M).
Notation h := (d_head M).
Notation k := (n_ctx M).

Lemma sizes : (0 < v)%nat /\ (0 < d)%nat /\ (0 < h)%nat /\ (0 < k)%nat.
Proof.
  unfold well_formed in good. apply andb_prop in good. destruct good as [S _].
  cbn [forallb] in S. repeat (apply andb_prop in S; destruct S as [? S]).
  repeat split; now apply Nat.ltb_lt.
Qed.

Lemma shapes :
  has_shape (embed_W_E w) v d /\ has_shape (pos_embed_W_pos w) k d /\ has_shape (attn_W_Q w) d h /\
  has_shape (attn_W_K w) d h /\ has_shape (attn_W_V w) d h /\ has_shape (attn_W_O w) h d /\
  has_shape (unembed_W_U w) d v /\ has_shape (attn_b_Q w) 1 h /\ has_shape (attn_b_V w) 1 h /\
  has_shape (attn_b_O w) 1 d /\ has_shape (unembed_b_U w) 1 v.
Proof.
  unfold well_formed in good. apply andb_prop in good. destruct good as [_ S].
  cbn [forallb fst snd] in S. repeat (apply andb_prop in S; destruct S as [? S]).
  repeat match goal with |- _ /\ _ => apply conj end; now apply shape_test_right.
Qed.

Ltac open_shapes :=
  destruct sizes as (v_some & d_some & h_some & k_some);
  destruct shapes as (S_E & S_pos & S_Q & S_K & S_V & S_O & S_U & S_bQ & S_bV & S_bO & S_bU).

Lemma stands_residual : stands_for (residual_table w) v d (query_residual M).
Proof.
  open_shapes. eapply stands_ext.
  - apply stands_add_row; [apply stands_number; exact S_E|].
    apply stands_last_row with (r := k); [exact k_some | apply stands_number; exact S_pos].
  - reflexivity.
Qed.

Lemma stands_OVU : stands_for (OVU_table w) d v (OVU M).
Proof.
  open_shapes. eapply stands_ext.
  - apply stands_mul with (n := h); [exact h_some | apply stands_number; exact S_V |].
    apply stands_mul with (n := d); [exact d_some | apply stands_number; exact S_O | apply stands_number; exact S_U].
  - reflexivity.
Qed.

Lemma stands_EVOU : stands_for (EVOU_table w) v v (EVOU M).
Proof.
  open_shapes. eapply stands_ext.
  - apply stands_mul with (n := d); [exact d_some | apply stands_number; exact S_E | apply stands_OVU].
  - reflexivity.
Qed.

Lemma stands_PVOU : stands_for (PVOU_table w) k v (PVOU M).
Proof.
  open_shapes. eapply stands_ext.
  - apply stands_mul with (n := d); [exact d_some | apply stands_number; exact S_pos | apply stands_OVU].
  - reflexivity.
Qed.

Lemma stands_direct_constant : stands_for (direct_constant_table w) 1 v (fun _ => direct_constant M).
Proof.
  open_shapes. eapply stands_ext.
  - apply stands_add_row; [|apply stands_number; exact S_bU].
    apply stands_mul with (n := d); [exact d_some | | apply stands_number; exact S_U].
    apply stands_add_row; [|apply stands_number; exact S_bO].
    apply stands_mul with (n := h); [exact h_some | apply stands_number; exact S_bV | apply stands_number; exact S_O].
  - intros i j Hi Hj. replace i with 0%nat by lia. reflexivity.
Qed.

Lemma stands_EUPU : stands_for (EUPU_table w) v v (EUPU M).
Proof.
  open_shapes. eapply stands_ext.
  - apply stands_add_row; [|apply stands_direct_constant].
    apply stands_mul with (n := d); [exact d_some | apply stands_residual | apply stands_number; exact S_U].
  - reflexivity.
Qed.

Lemma stands_query_key : stands_for (query_key_table w) v d (query_key M).
Proof.
  open_shapes. eapply stands_ext.
  - apply stands_mul_transposed with (n := h); [|apply stands_number; exact S_K].
    apply stands_add_row; [|apply stands_number; exact S_bQ].
    apply stands_mul with (n := d); [exact d_some | apply stands_residual | apply stands_number; exact S_Q].
  - reflexivity.
Qed.

Lemma stands_token_scores : stands_for (token_scores_table w) v v (token_scores M).
Proof.
  open_shapes. eapply stands_ext.
  - apply stands_mul_transposed with (n := d); [apply stands_query_key | apply stands_number; exact S_E].
  - reflexivity.
Qed.

Lemma stands_position_scores : stands_for (position_scores_table w) v k (position_scores M).
Proof.
  open_shapes. eapply stands_ext.
  - apply stands_mul_transposed with (n := d); [apply stands_query_key | apply stands_number; exact S_pos].
  - reflexivity.
Qed.
End Exact.

(** ** Tables in units of [2 ^ e], rounded *)

Definition get (T : list (list Z)) (i j : nat) : Z := nth j (nth i T []) 0%Z.

Definition rounded (round : Z -> Z -> Z) (e : Z) (A : matrix) : list (list Z) :=
  map (map (fun x => round x (e - exponent A)%Z)) (rows A).

Lemma get_rounded : forall round e A r c i j, has_shape A r c -> (i < r)%nat -> (j < c)%nat ->
  get (rounded round e A) i j = round (entry A i j) (e - exponent A)%Z.
Proof.
  intros round e A r c i j S Hi Hj. unfold get, rounded.
  rewrite (nth_map _ _ _ _ _ [] []) by (destruct S as [-> _]; exact Hi).
  rewrite (nth_map _ _ _ _ _ 0%Z 0%Z) by (rewrite (row_length A r c); assumption).
  reflexivity.
Qed.

Lemma rounded_length : forall round e A r c i, has_shape A r c -> (i < r)%nat ->
  length (nth i (rounded round e A) []) = c.
Proof.
  intros round e A r c i S Hi. unfold rounded.
  rewrite (nth_map _ _ _ _ _ [] []) by (destruct S as [-> _]; exact Hi).
  rewrite map_length. now apply (row_length A r).
Qed.

Lemma rounded_up : forall e A r c f i j, stands_for A r c f -> (i < r)%nat -> (j < c)%nat ->
  f i j <= IZR (get (rounded shift_up e A) i j) * pow2 e.
Proof.
  intros e A r c f i j [S F] Hi Hj. rewrite (get_rounded _ _ _ r c), F by assumption. unfold number.
  apply Rle_trans with (IZR (entry A i j) * pow2 (- (e - exponent A)) * pow2 e).
  - rewrite Rmult_assoc, <- pow2_add. replace (- (e - exponent A) + e)%Z with (exponent A) by lia. lra.
  - apply Rmult_le_compat_r; [apply Rlt_le, pow2_pos | apply shift_up_ge].
Qed.

Lemma rounded_down : forall e A r c f i j, stands_for A r c f -> (i < r)%nat -> (j < c)%nat ->
  IZR (get (rounded shift_down e A) i j) * pow2 e <= f i j.
Proof.
  intros e A r c f i j [S F] Hi Hj. rewrite (get_rounded _ _ _ r c), F by assumption. unfold number.
  apply Rle_trans with (IZR (entry A i j) * pow2 (- (e - exponent A)) * pow2 e).
  - apply Rmult_le_compat_r; [apply Rlt_le, pow2_pos | apply shift_down_le].
  - rewrite Rmult_assoc, <- pow2_add. replace (- (e - exponent A) + e)%Z with (exponent A) by lia. lra.
Qed.

(** By at most one unit. *)
Lemma rounded_up_by_1 : forall e A r c f i j, stands_for A r c f -> (i < r)%nat -> (j < c)%nat ->
  (IZR (get (rounded shift_up e A) i j) - 1) * pow2 e <= f i j.
Proof.
  intros e A r c f i j [S F] Hi Hj. rewrite (get_rounded _ _ _ r c), F by assumption. unfold number.
  apply Rle_trans with (IZR (entry A i j) * pow2 (- (e - exponent A)) * pow2 e).
  - apply Rmult_le_compat_r; [apply Rlt_le, pow2_pos|].
    pose proof (shift_up_lt (entry A i j) (e - exponent A)). lra.
  - rewrite Rmult_assoc, <- pow2_add. replace (- (e - exponent A) + e)%Z with (exponent A) by lia. lra.
Qed.

Lemma rounded_down_by_1 : forall e A r c f i j, stands_for A r c f -> (i < r)%nat -> (j < c)%nat ->
  f i j <= (IZR (get (rounded shift_down e A) i j) + 1) * pow2 e.
Proof.
  intros e A r c f i j [S F] Hi Hj. rewrite (get_rounded _ _ _ r c), F by assumption. unfold number.
  apply Rle_trans with (IZR (entry A i j) * pow2 (- (e - exponent A)) * pow2 e).
  - rewrite Rmult_assoc, <- pow2_add. replace (- (e - exponent A) + e)%Z with (exponent A) by lia. lra.
  - apply Rmult_le_compat_r; [apply Rlt_le, pow2_pos|]. apply shift_down_gt.
Qed.

(** ** Margins: fractions *)

Definition fraction := (Z * Z)%type.
Definition value_of (margin : fraction) : R := IZR (fst margin) / IZR (snd margin).

Definition margin_up (margin : fraction) (e : Z) : Z :=
  quotient_up (Z.shiftl (fst margin) (Z.max (- e) 0)) (Z.shiftl (snd margin) (Z.max e 0)).

Lemma margin_up_bounds : forall margin e, (0 < snd margin)%Z ->
  (IZR (margin_up margin e) - 1) * pow2 e <= value_of margin <= IZR (margin_up margin e) * pow2 e.
Proof.
  intros [a b] e P. unfold value_of, margin_up. simpl fst in *; simpl snd in *.
  assert (B : (0 < Z.shiftl b (Z.max e 0))%Z).
  { rewrite Z.shiftl_mul_pow2 by lia. apply Z.mul_pos_pos; [assumption | apply Z.pow_pos_nonneg; lia]. }
  pose proof (quotient_up_ge (Z.shiftl a (Z.max (- e) 0)) _ B) as above.
  pose proof (quotient_up_lt (Z.shiftl a (Z.max (- e) 0)) _ B) as below.
  rewrite !shiftl_real in above, below by lia. set (n := IZR (quotient_up _ _)) in *.
  apply IZR_lt in P. pose proof (pow2_pos (Z.max e 0)). pose proof (pow2_pos (Z.max (- e) 0)) as P'. pose proof (pow2_pos e).
  assert (E : pow2 (Z.max e 0) = pow2 e * pow2 (Z.max (- e) 0)) by (rewrite <- pow2_add; f_equal; lia).
  rewrite E in *. unfold Rdiv. split.
  - apply Rmult_le_reg_r with (IZR b); [assumption|]. rewrite (Rmult_assoc (IZR a)), Rinv_l, Rmult_1_r by lra.
    apply Rmult_le_reg_r with (pow2 (Z.max (- e) 0)); [assumption|]. apply Rle_trans with (2 := below). right. ring.
  - apply Rmult_le_reg_r with (IZR b); [assumption|]. rewrite (Rmult_assoc (IZR a)), Rinv_l, Rmult_1_r by lra.
    apply Rmult_le_reg_r with (pow2 (Z.max (- e) 0)); [assumption|]. apply Rle_trans with (1 := above). right. ring.
Qed.
