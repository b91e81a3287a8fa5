(** rules.md, score_singular_value: a low-rank part of the scores is kept; of the residual only the largest singular value
    is used, for all queries. *)

From Coq Require Import Reals ZArith List Lra Lia Bool Arith.
From Compact Require Import Spec.Model Real.Sums Real.Products Real.Definite Real.SingularValues.
From Compact Require Import Integer.Dyadic Integer.Matrix Integer.Tables Integer.Spreads Integer.Chains Integer.Splitting Facts.
Import ListNotations.
Open Scope Z_scope.

(** The product of all factors but the last, and the last. *)
Fixpoint but_last (A next : matrix) (more : list matrix) : matrix * matrix :=
  match more with [] => (A, next) | after :: more' => but_last (mul A next) after more' end.

Definition scale (factor e : Z) (A : matrix) : matrix := {| rows := map (map (Z.mul factor)) (rows A); exponent := exponent A + e |}.

(** [ridge * 2^e] on the diagonal. *)
Definition diagonal (n : nat) (ridge e : Z) : matrix :=
  {| rows := map (fun i => map (fun j => if Nat.eqb i j then ridge else 0) (seq 0 n)) (seq 0 n); exponent := e |}.

(** [s^2 G - G H G], [A] of [n] columns, [B] transposed and its rows, shifted to mean 0, the columns of [centres]. *)
Definition form_table (n : nat) (A centres : matrix) (sigma e ridge ridge_e : Z) : matrix :=
  let B := transpose centres in
  let At := transpose A in
  let G := add (mul_transposed B B) (diagonal n ridge ridge_e) in
  let H := mul_transposed At At in
  add (scale (sigma * sigma) (e + e) G) (negate (mul G (mul H G))).

(** Each entry of the diagonal exceeds the sum of the sizes of the others in its row. *)
Definition dominant (X : matrix) (n : nat) : bool :=
  forallb (fun i => let row := nth i (rows X) [] in let own := nth i row 0 in dot (map Z.abs row) (repeat 1 n) - Z.abs own <? own) (seq 0 n).

(** A square root, rounded up. *)
Definition root_up (n : Z) : Z := let low := Z.sqrt n in if low * low =? n then low else low + 1.

Definition score_singular_value (w : weights) (projectors : list projector) (sigma e ridge ridge_e : Z) (witness : matrix) : outcome fact :=
  match split_scores w projectors with
  | Refused why => Refused why
  | Fine s =>
      match more_factors s with
      | [] => Refused wrong_shape
      | next :: more =>
          let (A, last) := but_last (first_factor s) next more in
          let n := columns A in
          require (shape_test witness n n) wrong_shape
          (require (0 <=? ridge) out_of_range
          (let N := form_table n A (centred (transpose last)) sigma e ridge ridge_e in
           require (dominant (mul (mul (transpose witness) N) witness) n) not_dominant
           (Fine (approximation (kept s) (Bounds (repeat (root_up (2 * (sigma * sigma))) (vocabulary w)) e)))))
      end
  end.

Lemma but_last_right : forall more A next r n c f g, (0 < n)%nat -> stands_for A r n f -> chain_stands_for (next :: more) n c g ->
  exists m a b, (0 < m)%nat /\ stands_for (fst (but_last A next more)) r m a /\ stands_for (snd (but_last A next more)) m c b /\
    forall i j, product_of n f g i j = product_of m a b i j.
Proof.
  induction more as [|after more IH]; intros A next r n c f g some SA C; cbn [but_last].
  - exists n, f, g. repeat split; try exact some; try apply SA; try (intros; reflexivity); now apply (stands_chain [] next n c g).
  - inversion C as [|? ? ? m ? h g' some' SN rest]; subst.
    destruct (IH (mul A next) after r m c (product_of n f h) g' some' (stands_mul _ _ _ _ _ _ _ some SA SN) rest) as (l & a & b & L & Sa & Sb & same).
    exists l, a, b. repeat split; try exact L; try apply Sa; try apply Sb. intros i j. rewrite <- same. symmetry. apply product_assoc.
Qed.

Lemma stands_scale : forall A r c f factor e, stands_for A r c f ->
  stands_for (scale factor e A) r c (fun i j => IZR factor * pow2 e * f i j)%R.
Proof.
  intros A r c f factor e [S F]. split.
  - split; cbn [scale rows]; [rewrite map_length; apply S|]. rewrite Forall_map. destruct S as [_ S]. revert S. apply Forall_impl.
    intros row L. now rewrite map_length.
  - intros i j I J. rewrite F by assumption. unfold number, entry. cbn [scale rows exponent].
    rewrite (nth_map _ _ (map (Z.mul factor)) (rows A) i [] []) by (destruct S as [-> _]; exact I).
    rewrite (nth_map _ _ (Z.mul factor) _ j 0 0) by (rewrite (row_length A r c); assumption).
    rewrite mult_IZR, pow2_add. ring.
Qed.

Lemma stands_diagonal : forall n ridge e, stands_for (diagonal n ridge e) n n (ridge_of (IZR ridge * pow2 e)).
Proof.
  intros n ridge e. split.
  - split; cbn [diagonal rows]; [now rewrite map_length, seq_length|]. rewrite Forall_map. apply Forall_forall. intros i _.
    now rewrite map_length, seq_length.
  - intros i j I J. unfold number, entry, ridge_of. cbn [diagonal rows exponent].
    rewrite (nth_map _ _ _ (seq 0 n) i 0%nat []) by now rewrite seq_length.
    rewrite (nth_map _ _ _ (seq 0 n) j 0%nat 0) by now rewrite seq_length. rewrite !seq_nth by assumption. cbn [Nat.add].
    destruct (Nat.eqb i j); ring.
Qed.

Lemma stands_form_table : forall v n c A centres a b sigma e ridge ridge_e, (0 < v)%nat -> (0 < n)%nat -> (0 < c)%nat ->
  stands_for A v n a -> stands_for centres c n (transposed b) ->
  stands_for (form_table n A centres sigma e ridge ridge_e) n n (N_of v n c a b (IZR ridge * pow2 ridge_e) (IZR sigma * pow2 e)).
Proof.
  intros v n c A centres a b sigma e ridge ridge_e V N C SA SC. unfold form_table.
  pose proof (stands_transpose _ _ _ _ C SC) as SB. pose proof (stands_transpose _ _ _ _ V SA) as SAt.
  pose proof (stands_add _ _ _ _ _ _ (stands_mul_transposed _ _ _ _ _ _ _ SB SB) (stands_diagonal n ridge ridge_e)) as SG.
  pose proof (stands_mul_transposed _ _ _ _ _ _ _ SAt SAt) as SH.
  eapply stands_ext.
  - apply stands_add; [exact (stands_scale _ _ _ _ (sigma * sigma) (e + e) SG)|]. apply stands_negate.
    exact (stands_mul _ _ _ _ _ _ _ N SG (stands_mul _ _ _ _ _ _ _ N SH SG)).
  - intros i j _ _. unfold N_of, G_of, H_of. rewrite mult_IZR, pow2_add. unfold product_of, transposed. ring.
Qed.

Lemma dominant_right : forall X n f, stands_for X n n f -> dominant X n = true ->
  forall i, (i < n)%nat -> (sum n (fun j => Rabs (f i j)) - Rabs (f i i) < f i i)%R.
Proof.
  intros X n f [S F] T i I. unfold dominant in T. rewrite forallb_forall in T. specialize (T i ltac:(apply in_seq; lia)).
  cbv zeta in T. apply Z.ltb_lt, IZR_lt in T. pose proof (row_length X n n i S I) as L.
  rewrite minus_IZR, (dot_sum n), abs_IZR in T by (rewrite ?map_length, ?repeat_length; auto).
  set (u := pow2 (exponent X)). assert (P : (0 < u)%R) by apply pow2_pos.
  assert (size : forall j, (j < n)%nat -> Rabs (f i j) = (IZR (nth j (map Z.abs (nth i (rows X) [])) 0%Z) * IZR (nth j (repeat 1%Z n) 0%Z) * u)%R).
  { intros j J. rewrite F by assumption. unfold number, entry. fold u. rewrite Rabs_mult, (Rabs_pos_eq u) by lra.
    rewrite (nth_map _ _ Z.abs _ j 0 0), abs_IZR by now rewrite L. rewrite (nth_indep (repeat 1 n) 0 1), nth_repeat by now rewrite repeat_length. ring. }
  rewrite (sum_ext n _ _ size), sum_scale_r. rewrite F by assumption. unfold number, entry. fold u. rewrite Rabs_mult, (Rabs_pos_eq u) by lra.
  rewrite <- Rmult_minus_distr_r. now apply Rmult_lt_compat_r.
Qed.

Lemma root_up_ge : forall n, 0 <= n -> (0 <= IZR (root_up n) /\ IZR n <= IZR (root_up n) ^ 2)%R.
Proof.
  intros n N. unfold root_up. pose proof (Z.sqrt_spec n N) as [below above]. pose proof (Z.sqrt_nonneg n).
  destruct (Z.eqb_spec (Z.sqrt n * Z.sqrt n) n) as [E | _]; (split; [apply IZR_le; lia|]); rewrite <- Rsqr_pow2; unfold Rsqr;
    rewrite <- mult_IZR; apply IZR_le; lia.
Qed.

Theorem score_singular_value_sound : forall w margin projectors sigma e ridge ridge_e witness f, well_formed w = true ->
  score_singular_value w projectors sigma e ridge ridge_e witness = Fine f -> holds (model_of w) margin f.
Proof.
  intros w margin projectors sigma e ridge ridge_e witness f good E. unfold score_singular_value in E.
  destruct (split_scores w projectors) as [s|] eqn:S; [|discriminate].
  destruct (split_scores_right w projectors s good S) as (g & factors & kept_right). destruct (sizes w good) as (V & _).
  set (v := vocabulary w) in *. change (d_vocab (model_of w)) with v in V.
  destruct (more_factors s) as [|next more]; [discriminate|].
  inversion factors as [|? ? ? n0 ? a0 b0 some0 SA0 rest]; subst.
  destruct (but_last_right more (first_factor s) next v n0 v a0 b0 some0 SA0 rest) as (n & a & b & some & SA & SL & same).
  destruct (but_last (first_factor s) next more) as [A last]. cbn [fst snd] in *.
  rewrite (columns_of A v n (proj1 SA) V) in E. apply require_fine in E. destruct E as [shape E]. apply shape_test_right in shape.
  apply require_fine in E. destruct E as [natural E]. apply Z.leb_le, IZR_le in natural.
  apply require_fine in E. destruct E as [T E]. apply fine_eq in E. subst f.
  apply approximation_sound with (1 := kept_right).
  set (mean := fun l => number (mean_row (transpose last)) 0 l). set (b' := fun l t => (b l t + - mean l)%R).
  pose proof (stands_centred _ _ _ _ (stands_transpose _ _ _ _ some SL) V) as SC.
  pose proof (stands_form_table v n v A _ a b' sigma e ridge ridge_e V some V SA SC) as SN.
  pose proof (stands_number _ _ _ shape) as SW.
  pose proof (stands_mul _ _ _ _ _ _ _ some (stands_mul _ _ _ _ _ _ _ some (stands_transpose _ _ _ _ some SW) SN) SW) as SX.
  pose proof (dominant_right _ _ _ SX T) as D.
  set (s' := (IZR sigma * pow2 e)%R) in *. set (ridge' := (IZR ridge * pow2 ridge_e)%R) in *.
  pose proof (witnessed_form n (N_of v n v a b' ridge' s') (number witness) (N_symmetric v n v a b' ridge' s') D) as never.
  split; cbn [of_rows unit_of]; [apply repeat_length|]. intros q t t' Q Ht Ht'.
  rewrite (nth_indep (repeat _ v) 0 (root_up (2 * (sigma * sigma)))), nth_repeat by now rewrite repeat_length.
  rewrite !same. set (up := root_up (2 * (sigma * sigma))).
  assert (shifted : forall z, (product_of n a b q z = product_of n a b' q z + sum n (fun l => a q l * mean l))%R).
  { intros z. unfold product_of. rewrite <- sum_plus. apply sum_ext. intros. unfold b'. ring. }
  pose proof (rows_of_product v n v a b' ridge' s' ltac:(apply Rmult_le_pos; [exact natural | apply Rlt_le, pow2_pos]) never q t t' Q Ht Ht') as less.
  rewrite !shifted. destruct (root_up_ge (2 * (sigma * sigma)) ltac:(nia)) as [up_natural up_right]. fold up in up_natural, up_right.
  apply Rle_trans with (product_of n a b' q t - product_of n a b' q t')%R; [right; ring|].
  pose proof (pow2_pos e) as P. apply Rsqr_incr_0_var; [|apply Rmult_le_pos; lra].
  rewrite !Rsqr_pow2. apply Rle_trans with (1 := less). unfold s'. rewrite !mult_IZR in up_right.
  replace (2 * (IZR sigma * pow2 e) ^ 2)%R with (2 * (IZR sigma * IZR sigma) * pow2 e ^ 2)%R by ring.
  rewrite Rpow_mult_distr. apply Rmult_le_compat_r; [apply pow2_ge_0 | exact up_right].
Qed.
