(** rules.md, score_residual_spread: a low-rank part of the scores is kept; of the residual only its spread is used. *)

From Coq Require Import Reals ZArith.
From Compact Require Import Spec.Model Integer.Tables Integer.Spreads Integer.Chains Integer.Splitting Facts.
Open Scope Z_scope.

Definition score_residual_spread (w : weights) (projectors : list projector) : outcome fact :=
  match split_scores w projectors with
  | Refused why => Refused why
  | Fine s => Fine (approximation (kept s) (spreads_of (chain (first_factor s) (more_factors s))))
  end.

Theorem score_residual_spread_sound : forall w margin projectors f, well_formed w = true ->
  score_residual_spread w projectors = Fine f -> holds (model_of w) margin f.
Proof.
  intros w margin projectors f good E. unfold score_residual_spread in E.
  destruct (split_scores w projectors) as [s|] eqn:S; [|discriminate]. apply fine_eq in E. subst f.
  destruct (split_scores_right w projectors s good S) as (g & factors & kept_right).
  apply approximation_sound with (1 := kept_right). apply bounded_by_spreads. now apply stands_chain.
Qed.
