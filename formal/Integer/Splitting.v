(** rules.md, "Scores": a kept part of the token scores from supplied projectors, and what is left of them as a product, exactly. *)

From Coq Require Import Reals ZArith List Lra Lia Arith Bool.
From Compact Require Import Spec.Model Real.Sums Real.Products Real.Separation Integer.Dyadic Integer.Matrix Integer.Tables Integer.Spreads.
From Compact Require Import Integer.Chains Facts.
Import ListNotations.
Open Scope Z_scope.

(** [F] becomes [F - F onto along], the last of four factors [F - onto along F]. *)
Record projector := Projector { onto : matrix; along : matrix }.

Definition rank (p : projector) : nat := columns (onto p).

Definition projector_fits (p : projector) (n : nat) : bool :=
  Nat.ltb 0 (rank p) && shape_test (onto p) n (rank p) && shape_test (along p) (rank p) n.

(** [F] as [first second + rest]. *)
Record peeled := Peeled { first : matrix; second : matrix; rest : matrix }.

Definition peel_by (F U V : matrix) : peeled := Peeled U V (add F (negate (mul U V))).
Definition peel (F : matrix) (p : projector) : peeled := peel_by F (mul F (onto p)) (along p).
Definition peel_left (F : matrix) (p : projector) : peeled := peel_by F (onto p) (mul (along p) F).

(** Scores are what is kept and the product of the factors. *)
Record split := Split { kept : matrix; first_factor : matrix; more_factors : list matrix }.

(** Each summand of what is kept has the factors before it peeled, and those after it as they were. *)
Definition split_scores (w : weights) (projectors : list projector) : outcome split :=
  let (d, h) := (width w, head_size w) in
  let tokens := transpose (embed_W_E w) in
  let keys := transpose (attn_W_K w) in
  match projectors with
  | [p] =>
      require (projector_fits p d) wrong_shape
      (let S := peel (query_key_table w) p in
       Fine (Split (mul (first S) (mul (second S) tokens)) (rest S) [tokens]))
  | [p0; p1; p2; p3] =>
      require (projector_fits p0 d && projector_fits p1 h && projector_fits p2 d && projector_fits p3 d) wrong_shape
      (let r := peel (residual_table w) p0 in
       let Q := peel (attn_W_Q w) p1 in
       let K := peel keys p2 in
       let E := peel_left tokens p3 in
       let by_keys A := mul (mul A keys) tokens in
       let of_residual := mul (first r) (by_keys (mul (second r) (attn_W_Q w))) in
       let of_queries := mul (mul (rest r) (first Q)) (by_keys (second Q)) in
       let of_keys := mul (mul (rest r) (mul (rest Q) (first K))) (mul (second K) tokens) in
       let of_tokens := mul (mul (rest r) (mul (rest Q) (mul (rest K) (first E)))) (second E) in
       let bias := by_keys (attn_b_Q w) in
       Fine (Split (add_row (add (add of_residual of_queries) (add of_keys of_tokens)) bias) (rest r) [rest Q; rest K; rest E]))
  | _ => Refused wrong_shape
  end.

(** What they stand for. *)
Definition peeled_stands_for (P : peeled) (r n m : nat) (f u w f' : nat -> nat -> R) : Prop :=
  (0 < m)%nat /\ stands_for (first P) r m u /\ stands_for (second P) m n w /\ stands_for (rest P) r n f' /\
  forall i j, (i < r)%nat -> (j < n)%nat -> f i j = (f' i j + product_of m u w i j)%R.

Lemma peel_by_right : forall F U V r n m f u w, (0 < m)%nat -> stands_for F r n f -> stands_for U r m u -> stands_for V m n w ->
  exists f', peeled_stands_for (peel_by F U V) r n m f u w f'.
Proof.
  intros F U V r n m f u w some SF SU SV. exists (fun i j => f i j + - product_of m u w i j)%R.
  split; [exact some|]. split; [exact SU|]. split; [exact SV|]. split; [|intros; ring].
  apply (stands_add _ _ _ _ _ (fun i j => - product_of m u w i j)%R); [exact SF|]. apply stands_negate.
  exact (stands_mul U V r m n u w some SU SV).
Qed.

Lemma projector_right : forall p n, projector_fits p n = true ->
  (0 < rank p)%nat /\ stands_for (onto p) n (rank p) (number (onto p)) /\ stands_for (along p) (rank p) n (number (along p)).
Proof.
  intros p n fits. unfold projector_fits in fits. rewrite !andb_true_iff in fits. destruct fits as [[some O] A].
  apply Nat.ltb_lt in some. apply shape_test_right in O, A. repeat split; try exact some; apply O || apply A.
Qed.

Lemma peel_right : forall F p r n f, (0 < n)%nat -> stands_for F r n f -> projector_fits p n = true ->
  exists u w f', peeled_stands_for (peel F p) r n (rank p) f u w f'.
Proof.
  intros F p r n f N SF fits. destruct (projector_right p n fits) as (some & SO & SA).
  exists (product_of n f (number (onto p))), (number (along p)). apply peel_by_right; [exact some | exact SF | | exact SA].
  exact (stands_mul _ _ _ _ _ _ _ N SF SO).
Qed.

Lemma peel_left_right : forall F p n c f, (0 < n)%nat -> stands_for F n c f -> projector_fits p n = true ->
  exists u w f', peeled_stands_for (peel_left F p) n c (rank p) f u w f'.
Proof.
  intros F p n c f N SF fits. destruct (projector_right p n fits) as (some & SO & SA).
  exists (number (onto p)), (product_of n (number (along p)) f). apply peel_by_right; [exact some | exact SF | exact SO |].
  exact (stands_mul _ _ _ _ _ _ _ N SA SF).
Qed.

(** The function that the product of the factors stands for is what is left of the scores. *)
Theorem split_scores_right : forall w projectors s, well_formed w = true -> split_scores w projectors = Fine s ->
  let v := vocabulary w in
  exists f, chain_stands_for (first_factor s :: more_factors s) v v f /\
    stands_for (kept s) v v (fun q t => token_scores (model_of w) q t - f q t)%R.
Proof.
  intros w projectors s good E v. destruct (sizes w good) as (V & D & H & _).
  destruct (shapes w good) as (S_E & _ & S_Q & S_K & _ & _ & _ & S_bQ & _). unfold v, vocabulary.
  set (M := model_of w) in *. change (length (rows (embed_W_E w))) with (d_vocab M).
  pose proof (stands_transpose _ _ _ _ V (stands_number _ _ _ S_E)) as ST.
  pose proof (stands_transpose _ _ _ _ D (stands_number _ _ _ S_K)) as SK.
  set (tokens := transpose (embed_W_E w)) in *. set (keys := transpose (attn_W_K w)) in *.
  unfold split_scores in E. change (width w) with (d_model M) in E. change (head_size w) with (d_head M) in E. fold tokens keys in E.
  destruct projectors as [|p0 [|p1 [|p2 [|p3 [|]]]]]; try discriminate; apply require_fine in E; destruct E as [fits E];
    apply fine_eq in E; subst s; cbn [kept first_factor more_factors].
  - destruct (peel_right _ _ _ _ _ D (stands_query_key w good) fits) as (u & z & f & some & SU & SZ & SF & same).
    exists (product_of (d_model M) f (fun i t => W_E M t i)). split; [constructor; [exact D | exact SF | constructor; exact ST]|].
    apply stands_ext with (product_of (rank p0) u (product_of (d_model M) z (fun i t => W_E M t i))).
    + apply (stands_mul _ _ _ _ _ _ _ some SU). exact (stands_mul _ _ _ _ _ _ _ D SZ ST).
    + intros q t Q T. change (token_scores M q t) with (product_of (d_model M) (query_key M) (fun i t => W_E M t i) q t).
      rewrite (split_first (d_model M) (rank p0) (query_key M) f u z) by (intros; now apply same). ring.
  - rewrite !andb_true_iff in fits. destruct fits as [[[fits0 fits1] fits2] fits3].
    pose proof (stands_number _ _ _ S_Q) as SQ. pose proof (stands_residual w good) as Sr. pose proof (stands_number _ _ _ S_bQ) as Sb.
    destruct (peel_right _ _ _ _ _ D Sr fits0) as (u0 & z0 & r' & k0 & SU0 & SZ0 & SR' & same0).
    destruct (peel_right _ _ _ _ _ H SQ fits1) as (u1 & z1 & Q' & k1 & SU1 & SZ1 & SQ' & same1).
    destruct (peel_right _ _ _ _ _ D SK fits2) as (u2 & z2 & K' & k2 & SU2 & SZ2 & SK' & same2).
    destruct (peel_left_right _ _ _ _ _ D ST fits3) as (u3 & z3 & E' & k3 & SU3 & SZ3 & SE' & same3).
    set (r := peel (residual_table w) p0) in *. set (Q := peel (attn_W_Q w) p1) in *. set (K := peel keys p2) in *.
    set (E := peel_left tokens p3) in *. clearbody r Q K E tokens keys.
    set (d := d_model M) in *. set (h := d_head M) in *. set (v' := d_vocab M) in *.
    change (number (attn_W_Q w)) with (W_Q M) in *.
    set (kf := fun a i => number (attn_W_K w) i a) in *. set (tf := fun i t => number (embed_W_E w) t i) in *.
    set (by_keys := fun g => product_of d (product_of h g kf) tf).
    assert (S_by : forall A n g, stands_for A n h g -> stands_for (mul (mul A keys) tokens) n v' (by_keys g)).
    { intros A n g SA. apply (stands_mul _ _ n d v' (product_of h g kf) tf D); [|exact ST]. exact (stands_mul _ _ _ _ _ _ _ H SA SK). }
    exists (product_of d r' (product_of h Q' (product_of d K' E'))). split; [repeat (constructor; try assumption)|].
    eapply stands_ext.
    + apply stands_add_row; [apply stands_add; apply stands_add|].
      * exact (stands_mul _ _ _ _ _ _ _ k0 SU0 (S_by _ _ _ (stands_mul _ _ _ _ _ _ _ D SZ0 SQ))).
      * exact (stands_mul _ _ _ _ _ _ _ k1 (stands_mul _ _ _ _ _ _ _ D SR' SU1) (S_by _ _ _ SZ1)).
      * exact (stands_mul _ _ _ _ _ _ _ k2 (stands_mul _ _ _ _ _ _ _ D SR' (stands_mul _ _ _ _ _ _ _ H SQ' SU2)) (stands_mul _ _ _ _ _ _ _ D SZ2 ST)).
      * exact (stands_mul _ _ _ _ _ _ _ k3 (stands_mul _ _ _ _ _ _ _ D SR' (stands_mul _ _ _ _ _ _ _ H SQ' (stands_mul _ _ _ _ _ _ _ D SK' SU3))) SZ3).
      * exact (S_by _ _ _ Sb).
    + intros q t Hq Ht. cbv beta.
      assert (whole : token_scores M q t = (by_keys (product_of d (query_residual M) (W_Q M)) q t + by_keys (number (attn_b_Q w)) 0%nat t)%R).
      { change (token_scores M q t) with (product_of d (product_of h (fun q a => product_of d (query_residual M) (W_Q M) q a + b_Q M a)%R kf) tf q t).
        unfold by_keys.
        rewrite (product_ext d _ (fun q i => product_of h (product_of d (query_residual M) (W_Q M)) kf q i + product_of h (fun _ => b_Q M) kf q i)%R tf tf q t)
          by (intros; auto using product_plus).
        rewrite product_plus. reflexivity. }
      assert (by_residual : forall l, (l < h)%nat ->
        product_of d (query_residual M) (W_Q M) q l = (product_of d r' (W_Q M) q l + product_of (rank p0) u0 (product_of d z0 (W_Q M)) q l)%R)
        by (intros; apply split_first; intros; now apply same0).
      assert (carried : forall f g m u z, (forall l, (l < h)%nat -> f q l = g q l + product_of m u z q l)%R ->
        (by_keys f q t = by_keys g q t + product_of m u (by_keys z) q t)%R)
        by (intros f g m u z S; unfold by_keys; apply split_first; intros; now apply split_first).
      rewrite whole, (carried _ _ _ _ _ by_residual).
      rewrite (carried (product_of d r' (W_Q M)) (product_of d r' Q') (rank p1) (product_of d r' u1) z1)
        by (intros; apply split_second; intros; now apply same1).
      unfold by_keys at 1.
      rewrite (split_first d (rank p2) _ (product_of h (product_of d r' Q') K') (product_of h (product_of d r' Q') u2) z2)
        by (intros; apply split_second; intros; now apply same2).
      rewrite (split_second d (rank p3) _ tf E' u3 z3) by (intros; now apply same3).
      assert (three : forall g j, product_of d (product_of h (product_of d r' Q') K') g q j = product_of d r' (product_of h Q' (product_of d K' g)) q j)
        by (intros; now rewrite product_assoc, product_assoc).
      rewrite (three E' t).
      rewrite (product_ext (rank p3) _ (product_of d r' (product_of h Q' (product_of d K' u3))) z3 z3) by auto.
      rewrite (product_ext (rank p2) (product_of h (product_of d r' Q') u2) (product_of d r' (product_of h Q' u2)) _ (product_of d z2 tf))
        by (intros; auto using product_assoc).
      ring.
Qed.

(** What is kept errs by at most as much as what is left is spread; both in the finer unit. *)
Definition approximation (kept : matrix) (error : bounds) : fact :=
  let unit := Z.min (exponent kept) (unit_of error) in
  Score_approximation (in_units_of unit kept) (finer (unit_of error - unit) (of_rows error)).

Lemma approximation_sound : forall w margin kept error f, let v := vocabulary w in
  stands_for kept v v (fun q t => token_scores (model_of w) q t - f q t)%R -> bounded v v f error ->
  holds (model_of w) margin (approximation kept error).
Proof.
  intros w margin kept error f v SK B. unfold approximation. set (unit := Z.min (exponent kept) (unit_of error)).
  destruct (stands_in_units_of unit kept _ _ _ ltac:(lia) SK) as [S F].
  destruct (bounds_finer _ _ _ _ unit _ B ltac:(lia)) as [L D]. cbn [holds]. split; [exact S|]. split; [exact L|].
  intros q t t' Q T T'. cbn [in_units_of exponent] in *.
  rewrite <- !F by assumption. pose proof (D q t t' Q T T') as up. pose proof (D q t' t Q T' T) as down.
  unfold Rabs. destruct (Rcase_abs _); lra.
Qed.
