(** rules.md, value_path_upper: how far attending to a token, at whatever position, can favour a wrong token. *)

From Coq Require Import Reals ZArith List Lra Lia Arith Bool.
From Compact Require Import Spec.Model Real.Separation Integer.Dyadic Integer.Matrix Integer.Tables Real.ScaledExp Facts.
From Compact Require Import Rules.direct_path_upper.
Import ListNotations.
Open Scope Z_scope.

(** For each output y the most that it gains on [m] at a position. *)
Definition positions_of (w : weights) (unit : Z) (P : matrix) (m : nat) : list Z :=
  map (fun y => largest (map (fun row => Z.shiftl (nth y row 0 - nth m row 0) (exponent P - unit)) (rows P))) (seq 0 (vocabulary w)).

Definition value_path_upper (w : weights) : outcome fact :=
  let (V, P) := (EVOU_table w, PVOU_table w) in
  let unit := Z.min (exponent V) (exponent P) in
  Fine (Value_path_upper {|
    rows := map (fun m =>
      let at_position := positions_of w unit P m in
      map (fun row =>
        let own := nth m row 0 in
        largest_but m 0 (zip (fun x best => Z.shiftl (x - own) (exponent V - unit) + best) row at_position))
        (firstn (S m) (rows V)))
      (seq 0 (vocabulary w));
    exponent := unit |}).

Lemma zip_nth_any : forall f a b i, (i < length a)%nat -> (i < length b)%nat -> nth i (zip f a b) 0 = f (nth i a 0) (nth i b 0).
Proof.
  intros f a. induction a as [|x a IH]; intros [|y b] i A B; simpl in *; try lia.
  destruct i as [|i]; [reflexivity | apply IH; lia].
Qed.

Theorem value_path_upper_sound : forall w margin f,
  well_formed w = true -> value_path_upper w = Fine f -> holds (model_of w) margin f.
Proof.
  intros w margin f good E. unfold value_path_upper in E. apply fine_eq in E. subst f.
  cbn [holds]. intros t m y p T Hm Hy other P.
  destruct (stands_EVOU w good) as [SV FV]. destruct (stands_PVOU w good) as [SP FP].
  set (V := EVOU_table w) in *. set (Q := PVOU_table w) in *. clearbody V Q. set (unit := Z.min (exponent V) (exponent Q)).
  rewrite !FV, !FP by lia. unfold number, entry. cbn [rows exponent].
  assert (LV : length (rows V) = d_vocab (model_of w)) by apply SV.
  assert (LQ : length (rows Q) = n_ctx (model_of w)) by apply SP.
  assert (Lr : length (nth t (rows V) []) = d_vocab (model_of w)) by (apply (row_length _ _ _ _ SV); lia).
  rewrite (nth_map _ _ _ _ _ 0%nat) by (rewrite seq_length; exact Hm). rewrite seq_nth by exact Hm. cbn [Nat.add]. cbv beta zeta.
  rewrite (nth_map _ _ _ (firstn (S m) (rows V)) t [] 0) by (rewrite firstn_length, LV; lia). rewrite nth_firstn_small by lia.
  set (row := nth t (rows V) []) in *. set (prow := nth p (rows Q) []).
  assert (Lp : length (positions_of w unit Q m) = d_vocab (model_of w)) by (unfold positions_of; now rewrite map_length, seq_length).
  set (all := zip _ _ _).
  assert (La : length all = d_vocab (model_of w)) by (apply zip_length; assumption).
  pose proof (largest_but_ge m 0 all y ltac:(lia) other) as B. apply IZR_le in B.
  unfold all in B at 1. rewrite zip_nth_any in B by lia.
  assert (at_p : Z.shiftl (nth y prow 0 - nth m prow 0) (exponent Q - unit) <= nth y (positions_of w unit Q m) 0).
  { unfold positions_of. rewrite (nth_map _ _ _ _ _ 0%nat) by (rewrite seq_length; exact Hy). rewrite seq_nth by exact Hy.
    apply largest_ge. apply (in_map (fun row => Z.shiftl (nth (0 + y) row 0 - nth m row 0) (exponent Q - unit))).
    unfold prow. apply nth_In. now rewrite LQ. }
  apply IZR_le in at_p. rewrite shiftl_real, minus_IZR in at_p by (unfold unit; lia).
  rewrite plus_IZR, shiftl_real, minus_IZR in B by (unfold unit; lia).
  replace (powerRZ 2 (exponent V)) with (pow2 (exponent V - unit) * pow2 unit)%R by (rewrite <- pow2_add; f_equal; lia).
  replace (powerRZ 2 (exponent Q)) with (pow2 (exponent Q - unit) * pow2 unit)%R by (rewrite <- pow2_add; f_equal; lia).
  pose proof (pow2_pos unit).
  apply Rle_trans with ((IZR (nth y row 0%Z) - IZR (nth m row 0%Z)) * pow2 (exponent V - unit) * pow2 unit
    + (IZR (nth y prow 0%Z) - IZR (nth m prow 0%Z)) * pow2 (exponent Q - unit) * pow2 unit)%R; [right; ring|].
  rewrite <- Rmult_plus_distr_r. apply Rmult_le_compat_r; lra.
Qed.
