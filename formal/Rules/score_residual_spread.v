(** rules.md, score_residual_spread: a low-rank part of the scores is kept; of the rest only its spread is used. *)

From Coq Require Import Reals ZArith List Lra Lia Arith.
From Compact Require Import Spec.Model Real.Separation Integer.Dyadic Integer.Matrix Integer.Tables Integer.Spreads Integer.Splitting Facts.
From Compact Require Import Rules.score_exact.
Import ListNotations.
Open Scope Z_scope.

(** Scores less what is kept is the residual that other orders of products come to. *)
Definition score_residual_spread (w : weights) (projectors : list projector) : outcome fact :=
  match kept_scores w projectors with
  | Refused why => Refused why
  | Fine kept =>
      require (shape_test kept (vocabulary w) (vocabulary w)) wrong_shape
      (let rest := add (token_scores_table w) (negate kept) in
       Fine (Score_approximation (in_units_of (exponent rest) kept) (row_spreads rest)))
  end.

Theorem score_residual_spread_sound : forall w margin projectors f, well_formed w = true ->
  score_residual_spread w projectors = Fine f -> holds (model_of w) margin f.
Proof.
  intros w margin projectors f good E. unfold score_residual_spread in E.
  destruct (kept_scores w projectors) as [kept|]; [|discriminate]. apply require_fine in E. destruct E as [shape E].
  apply shape_test_right in shape. apply fine_eq in E. subst f.
  set (rest := add (token_scores_table w) (negate kept)). set (v := vocabulary w) in *.
  pose proof (stands_number _ _ _ shape) as SK.
  pose proof (stands_add _ _ _ _ _ _ (stands_token_scores w good) (stands_negate _ _ _ _ SK)) as SR. fold rest in SR.
  assert (finer_ : exponent rest <= exponent kept) by (unfold rest, add, negate; cbn [exponent]; lia).
  destruct (stands_in_units_of (exponent rest) kept v v _ finer_ SK) as [S F].
  apply kept_with_spread; [exact good | exact S|]. cbn [in_units_of exponent].
  destruct (row_spreads_bound _ _ _ _ SR) as [L B]. split; [exact L|]. intros q t t' Q T T'.
  specialize (B q t t' Q T T'). cbv beta in B. rewrite <- (F q t Q T), <- (F q t' Q T'). lra.
Qed.
