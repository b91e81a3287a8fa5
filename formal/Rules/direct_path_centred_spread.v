(** rules.md, direct_path_centred_spread: the direct path of one vector is kept for all queries, the rest bounded without
    multiplying it out. *)

From Coq Require Import Reals ZArith List Lra Lia Arith.
From Compact Require Import Spec.Model Real.Sums Real.Separation Integer.Dyadic Integer.Matrix Integer.Tables Integer.Spreads Facts.
Import ListNotations.
Open Scope Z_scope.

Definition direct_path_centred_spread (w : weights) (centre : matrix) : outcome fact :=
  let U := unembed_W_U w in
  require (shape_test centre 1 (width w)) wrong_shape
  (let rest := add_row (residual_table w) (negate centre) in
   Fine (Direct_path_spread centre
     {| rows := [weighted_spreads (rows rest) (row_spreads U)]; exponent := exponent rest + exponent U |})).

Theorem direct_path_centred_spread_sound : forall w margin centre f, well_formed w = true ->
  direct_path_centred_spread w centre = Fine f -> holds (model_of w) margin f.
Proof.
  intros w margin centre f good E. unfold direct_path_centred_spread in E. apply require_fine in E. destruct E as [shape E].
  apply fine_eq in E. subst f. apply shape_test_right in shape. cbn [holds]. intros q y y' Q Y Y'.
  set (M := model_of w) in *. change (width w) with (d_model M) in shape.
  assert (SU : stands_for (unembed_W_U w) (d_model M) (d_vocab M) (W_U M)).
  { destruct (shapes w good) as (_ & _ & _ & _ & _ & _ & S_U & _). exact (stands_number _ _ _ S_U). }
  pose proof (stands_add_row _ _ _ _ _ _ (stands_residual w good) (stands_negate _ _ _ _ (stands_number _ _ _ shape))) as SR.
  pose proof (weighted_spreads_bound _ _ _ _ _ _ _ _ SR (row_spreads_bound _ _ _ _ SU)) as [_ B].
  specialize (B q y y' Q Y Y'). unfold number at 1. unfold entry. cbn [rows exponent nth].
  apply Rle_trans with (2 := B). right. unfold kept_path.
  destruct (rows centre) as [|row more] eqn:C; [destruct shape as [L _]; rewrite C in L; discriminate|].
  unfold EUPU. rewrite <- !sum_minus.
  assert (G : forall z, sum (d_model M) (fun l => ((query_residual M q l + - number centre 0 l) * W_U M l z)%R)
    = (sum (d_model M) (fun i => (query_residual M q i * W_U M i z)%R) - sum (d_model M) (fun i => (number centre 0 i * W_U M i z)%R))%R).
  { intros z. rewrite <- sum_minus. apply sum_ext. intros. ring. }
  rewrite sum_minus, !G. unfold model_of in *. fold M. ring.
Qed.
