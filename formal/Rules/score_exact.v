(** rules.md, score_exact: all scores, multiplied out. *)

From Coq Require Import Reals ZArith List Lra Lia Arith.
From Compact Require Import Spec.Model Real.Separation Integer.Dyadic Integer.Matrix Integer.Tables Facts.
Import ListNotations.
Open Scope Z_scope.

(** The same numbers in units of [2 ^ e], if these are not coarser. *)
Definition in_units_of (e : Z) (A : matrix) : matrix := {| rows := map (finer (exponent A - e)) (rows A); exponent := e |}.

Lemma stands_in_units_of : forall e A r c f, e <= exponent A -> stands_for A r c f -> stands_for (in_units_of e A) r c f.
Proof.
  intros e A r c f small [S F]. split.
  - split; cbn [in_units_of rows]; [rewrite map_length; apply S|]. rewrite Forall_map. apply Forall_forall. intros row I.
    rewrite finer_length. destruct S as [_ all]. rewrite Forall_forall in all. now apply all.
  - intros i j I J. rewrite F by assumption. unfold number, entry. cbn [in_units_of rows exponent].
    rewrite (nth_map _ _ _ (rows A) i [] []) by (destruct S as [-> _]; exact I).
    rewrite finer_nth by (lia || (rewrite (row_length A r c); assumption)).
    rewrite Rmult_assoc, <- pow2_add. repeat f_equal. lia.
Qed.

Definition score_exact (w : weights) : outcome fact :=
  let T := token_scores_table w in
  Fine (Score_approximation (in_units_of (Z.min (exponent T) 0) T) (repeat 0 (vocabulary w))).

Theorem score_exact_sound : forall w margin f, well_formed w = true -> score_exact w = Fine f -> holds (model_of w) margin f.
Proof.
  intros w margin f good E. unfold score_exact in E. apply fine_eq in E. subst f. cbn [holds].
  destruct (stands_in_units_of _ _ _ _ _ (Z.le_min_l (exponent (token_scores_table w)) 0) (stands_token_scores w good)) as [S F].
  split; [exact S|]. split; [apply repeat_length|]. intros q t t' Q T T'. rewrite <- !F by assumption.
  rewrite nth_repeat. rewrite Rminus_eq_0, Rabs_R0. lra.
Qed.
