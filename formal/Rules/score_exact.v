(** rules.md, score_exact: all scores, multiplied out. *)

From Coq Require Import Reals ZArith List Lra.
From Compact Require Import Spec.Model Real.Separation Integer.Matrix Integer.Tables Integer.Spreads Integer.Splitting Facts.
Open Scope Z_scope.

Definition score_exact (w : weights) : outcome fact := Fine (approximation (token_scores_table w) (Bounds (repeat 0 (vocabulary w)) 0)).

Theorem score_exact_sound : forall w margin f, well_formed w = true -> score_exact w = Fine f -> holds (model_of w) margin f.
Proof.
  intros w margin f good E. unfold score_exact in E. apply fine_eq in E. subst f.
  apply (approximation_sound w margin _ _ (fun _ _ => 0%R)).
  - apply stands_ext with (1 := stands_token_scores w good). intros. ring.
  - split; [apply repeat_length|]. intros q t t' _ _ _. cbn [of_rows unit_of]. rewrite nth_repeat. lra.
Qed.
