(** rules.md, direct_path_spread: the direct path as a whole counts as an error. *)

From Coq Require Import Reals ZArith List Lra Lia.
From Compact Require Import Spec.Model Real.Separation Integer.Dyadic Integer.Matrix Integer.Tables Integer.Spreads Facts.
Import ListNotations.
Open Scope Z_scope.

Definition direct_path_spread (w : weights) : outcome fact :=
  let E := EUPU_table w in
  Fine (Direct_path_spread {| rows := []; exponent := 0 |} {| rows := [row_spreads E]; exponent := exponent E |}).

Theorem direct_path_spread_sound : forall w margin f, well_formed w = true -> direct_path_spread w = Fine f ->
  holds (model_of w) margin f.
Proof.
  intros w margin f good E. unfold direct_path_spread in E. apply fine_eq in E. subst f. cbn [holds]. intros q y y' Q Y Y'.
  unfold kept_path. cbn [rows]. rewrite !Rminus_0_r.
  exact (proj2 (row_spreads_bound _ _ _ _ (stands_EUPU w good)) q y y' Q Y Y').
Qed.
