(** rules.md, "Scores": a kept part of the token scores from supplied projectors, and what is left of them, exactly. *)

From Coq Require Import Reals ZArith List Lra Lia Arith Bool.
From Compact Require Import Spec.Model Real.Separation Integer.Dyadic Integer.Matrix Integer.Tables Integer.Spreads Facts.
Import ListNotations.
Open Scope Z_scope.

Definition add (A B : matrix) : matrix :=
  let e := Z.min (exponent A) (exponent B) in
  {| rows := map (fun one : list Z * list Z => zip Z.add (finer (exponent A - e) (fst one)) (finer (exponent B - e) (snd one)))
       (combine (rows A) (rows B));
     exponent := e |}.

Definition transpose (A : matrix) : matrix :=
  {| rows := map (fun j => map (fun row => nth j row 0) (rows A)) (seq 0 (columns A)); exponent := exponent A |}.

Lemma stands_add : forall A B r c f g, stands_for A r c f -> stands_for B r c g -> stands_for (add A B) r c (fun i j => f i j + g i j)%R.
Proof.
  intros A B r c f g [SA FA] [SB FB]. unfold add. set (e := Z.min (exponent A) (exponent B)).
  assert (Lc : length (combine (rows A) (rows B)) = r) by (rewrite combine_length; destruct SA, SB; lia).
  assert (at_ : forall i, (i < r)%nat -> length (nth i (rows A) []) = c /\ length (nth i (rows B) []) = c)
    by (intros i I; split; now apply (row_length _ r c)).
  split.
  - split; cbn [rows]; [now rewrite map_length|]. rewrite Forall_map. apply Forall_forall. intros [a b] I.
    apply (In_nth _ _ ([], [])) in I. destruct I as (i & I & E). rewrite Lc in I.
    rewrite combine_nth in E by (destruct SA, SB; lia). destruct (at_ i I) as [La Lb].
    assert (a = nth i (rows A) []) by exact (eq_sym (f_equal fst E)). assert (b = nth i (rows B) []) by exact (eq_sym (f_equal snd E)). subst.
    cbn [fst snd]. apply zip_length; now rewrite finer_length.
  - intros i j I J. rewrite FA, FB by assumption. destruct (at_ i I) as [La Lb]. unfold number, entry. cbn [rows exponent].
    rewrite (nth_map _ _ _ (combine (rows A) (rows B)) i ([], []) []) by (rewrite Lc; exact I).
    rewrite combine_nth by (destruct SA, SB; lia). cbn [fst snd].
    rewrite zip_nth by (rewrite finer_length; lia). rewrite plus_IZR, !finer_nth by (lia || (unfold e; lia)).
    replace (powerRZ 2 (exponent A)) with (pow2 (exponent A - e) * pow2 e)%R by (rewrite <- pow2_add; f_equal; lia).
    replace (powerRZ 2 (exponent B)) with (pow2 (exponent B - e) * pow2 e)%R by (rewrite <- pow2_add; f_equal; lia). ring.
Qed.

(** [F] becomes [F - F onto along], the last of four factors [F - onto along F]. *)
Record projector := Projector { onto : matrix; along : matrix }.

Definition peeled (F : matrix) (p : projector) : matrix := add F (negate (mul (mul F (onto p)) (along p))).

Definition projector_fits (p : projector) (n : nat) : bool :=
  let rank := columns (onto p) in Nat.ltb 0 rank && shape_test (onto p) n rank && shape_test (along p) rank n.

(** Sums of products, whatever they stand for: rules look at what they leave of the scores. *)
Definition kept_scores (w : weights) (projectors : list projector) : outcome matrix :=
  let (d, h) := (width w, head_size w) in
  let (E, K) := (embed_W_E w, attn_W_K w) in
  match projectors with
  | [p] =>
      require (projector_fits p d) wrong_shape
      (Fine (mul (mul (query_key_table w) (onto p)) (mul_transposed (along p) E)))
  | [p0; p1; p2; p3] =>
      require (projector_fits p0 d && projector_fits p1 h && projector_fits p2 d && projector_fits p3 d) wrong_shape
      (let (r, Q) := (residual_table w, attn_W_Q w) in
       let keys := transpose K in
       let r' := peeled r p0 in
       let Q' := peeled Q p1 in
       let keys' := peeled keys p2 in
       let by_keys A := mul_transposed (mul_transposed A K) E in
       let bias := by_keys (attn_b_Q w) in
       let of_residual := mul (mul r (onto p0)) (by_keys (mul (along p0) Q)) in
       let of_queries := mul (mul r' (mul Q (onto p1))) (by_keys (along p1)) in
       let of_keys := mul (mul r' (mul Q' (mul keys (onto p2)))) (mul_transposed (along p2) E) in
       let of_tokens := mul (mul r' (mul Q' (mul keys' (onto p3)))) (mul_transposed (along p3) E) in
       Fine (add_row (add (add of_residual of_queries) (add of_keys of_tokens)) bias))
  | _ => Refused wrong_shape
  end.

(** What is kept errs by at most as much as the rest of the scores is spread. *)
Lemma kept_with_spread : forall w margin kept error, well_formed w = true -> has_shape kept (vocabulary w) (vocabulary w) ->
  bound_spreads (vocabulary w) (vocabulary w) (fun q t => token_scores (model_of w) q t - number kept q t)%R (exponent kept) error ->
  holds (model_of w) margin (Score_approximation kept error).
Proof.
  intros w margin kept error good S [L B]. cbn [holds]. split; [exact S|]. split; [exact L|]. intros q t t' Q T T'.
  pose proof (B q t t' Q T T') as up. pose proof (B q t' t Q T' T) as down. unfold Rabs. destruct (Rcase_abs _); lra.
Qed.
