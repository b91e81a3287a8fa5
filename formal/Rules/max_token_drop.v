(** rules.md, max_token_drop: the largest slope with the largest intercept. *)

From Coq Require Import Reals ZArith List Lra Lia Arith.
From Compact Require Import Spec.Model Integer.Dyadic Integer.Matrix Integer.Tables Real.ScaledExp Integer.Lines Facts.
Import ListNotations.
Open Scope Z_scope.

Definition one_line (some : list line) : list Z :=
  match some with [] => [] | _ => [largest (map fst some); largest (map snd some)] end.

Definition max_token_drop (w : weights) (centre spread : matrix) : outcome fact :=
  require (centre_fits w centre) wrong_shape
  (let V := EVOU_table w in
   let P := position_table w centre in
   let unit := line_unit V P in
   Fine (Max_token_path spread
     {| rows := map (fun m => one_line (lines_of V P unit m)) (seq 0 (vocabulary w)); exponent := unit |})).

Theorem max_token_drop_sound : forall w margin centre spread f, well_formed w = true ->
  holds (model_of w) margin (Direct_path_spread centre spread) -> max_token_drop w centre spread = Fine f ->
  holds (model_of w) margin f.
Proof.
  intros w margin centre spread f good D E. unfold max_token_drop in E. apply require_fine in E. destruct E as [fits E].
  apply fine_eq in E. subst f. apply (lines_bound w centre good fits margin spread _ D).
  intros m n s b a Hm N I [A _]. set (unit := line_unit (EVOU_table w) (position_table w centre)) in *.
  destruct (row_of_each (model_of w) (fun m => one_line (lines_of (EVOU_table w) (position_table w centre) unit m)) unit m n Hm) as [r at_m].
  change (d_vocab (model_of w)) with (vocabulary w) in r, at_m.
  rewrite r. unfold line_below, number, entry. cbn [rows exponent]. rewrite at_m.
  unfold one_line. destruct (lines_of _ _ unit m) as [|first rest] eqn:L; [destruct I|]. rewrite <- L in *.
  exists 0%nat. split; [cbn [length]; lia|]. cbn [Nat.mul Nat.add nth].
  pose proof (largest_ge (map fst (lines_of (EVOU_table w) (position_table w centre) unit m)) s (in_map fst _ (s, b) I)) as S.
  pose proof (largest_ge (map snd (lines_of (EVOU_table w) (position_table w centre) unit m)) b (in_map snd _ (s, b) I)) as B.
  apply IZR_le in S, B. pose proof (pow2_pos unit). set (s' := IZR (largest (map fst _))) in *. set (b' := IZR (largest (map snd _))) in *.
  apply Rle_trans with ((s' * a + b') * pow2 unit)%R; [|right; ring]. apply Rmult_le_compat_r; [lra|]. nra.
Qed.
