(** rules.md, score_recursive_spread: a low-rank part of the scores is kept; of the residual no two factors are multiplied. *)

From Coq Require Import Reals ZArith List Lia.
From Compact Require Import Spec.Model Real.Sums Real.Products Integer.Matrix Integer.Tables Integer.Spreads Integer.Chains Integer.Splitting Facts.
Import ListNotations.
Open Scope Z_scope.

(** From the last factor; of the first [means] factors the mean row is treated apart. *)
Fixpoint recursive_spreads (means : nat) (A : matrix) (more : list matrix) : bounds :=
  match more with
  | [] => spreads_of A
  | next :: more' =>
      let after := recursive_spreads (pred means) next more' in
      match means with
      | O => times_spreads A after
      | S _ => with_mean (chain (mean_row A) more) (length (rows A)) (times_spreads (centred A) after)
      end
  end.

Definition score_recursive_spread (w : weights) (projectors : list projector) (means : nat) : outcome fact :=
  match split_scores w projectors with
  | Refused why => Refused why
  | Fine s => Fine (approximation (kept s) (recursive_spreads means (first_factor s) (more_factors s)))
  end.

Lemma recursive_spreads_right : forall more means A r c f, (0 < r)%nat -> chain_stands_for (A :: more) r c f ->
  bounded r c f (recursive_spreads means A more).
Proof.
  induction more as [|next more IH]; intros means A r c f some C; cbn [recursive_spreads].
  - apply bounded_by_spreads. exact (stands_chain [] _ _ _ _ C).
  - inversion C as [|? ? ? n ? a g n_some SA rest]; subst.
    pose proof (IH (pred means) next n c g n_some rest) as after. destruct means as [|means]; [now apply bounded_times|].
    rewrite (proj1 (proj1 SA)). apply bounded_with_mean with (mean_row A).
    + apply stands_chain. constructor; [exact n_some | | exact rest]. apply stands_number. now apply mean_row_shape with (1 := proj1 SA).
    + apply bounded_times; [|exact after]. now apply stands_centred.
Qed.

Theorem score_recursive_spread_sound : forall w margin projectors means f, well_formed w = true ->
  score_recursive_spread w projectors means = Fine f -> holds (model_of w) margin f.
Proof.
  intros w margin projectors means f good E. unfold score_recursive_spread in E.
  destruct (split_scores w projectors) as [s|] eqn:S; [|discriminate]. apply fine_eq in E. subst f.
  destruct (split_scores_right w projectors s good S) as (g & factors & kept_right).
  apply approximation_sound with (1 := kept_right). apply recursive_spreads_right; [|exact factors]. apply (sizes w good).
Qed.
