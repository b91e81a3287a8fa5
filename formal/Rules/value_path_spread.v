(** rules.md, value_path_spread: how far attending to tokens up to t can favour any logit over any other. *)

From Coq Require Import Reals ZArith List Lra Lia Arith.
From Compact Require Import Spec.Model Real.Separation Integer.Dyadic Integer.Matrix Integer.Tables Integer.Spreads Facts.
Import ListNotations.
Open Scope Z_scope.

Fixpoint running (most : Z) (l : list Z) : list Z :=
  match l with [] => [] | x :: rest => let now := Z.max most x in now :: running now rest end.

Definition value_path_spread (w : weights) : outcome fact :=
  let V := EVOU_table w in
  let spreads := row_spreads V in
  Fine (Value_path_spread {| rows := [running (hd 0 spreads) spreads]; exponent := exponent V |}).

Lemma running_ge : forall l most t t', (t' <= t)%nat -> (t < length l)%nat -> most <= nth t (running most l) 0 /\ nth t' l 0 <= nth t (running most l) 0.
Proof.
  induction l as [|x l IH]; intros most t t' T L; [simpl in L; lia|]. cbn [running]. destruct t as [|t].
  - replace t' with 0%nat by lia. cbn [nth]. lia.
  - cbn [nth]. destruct t' as [|t'].
    + destruct (IH (Z.max most x) t 0%nat ltac:(lia) ltac:(simpl in L; lia)). cbn [nth]. lia.
    + destruct (IH (Z.max most x) t t' ltac:(lia) ltac:(simpl in L; lia)). cbn [nth]. lia.
Qed.

Theorem value_path_spread_sound : forall w margin f, well_formed w = true -> value_path_spread w = Fine f ->
  holds (model_of w) margin f.
Proof.
  intros w margin f good E. unfold value_path_spread in E. apply fine_eq in E. subst f. cbn [holds]. intros t t' y y' T Ht Y Y'.
  destruct (row_spreads_bound _ _ _ _ (stands_EVOU w good)) as [L B].
  apply Rle_trans with (1 := B t' y y' ltac:(lia) Y Y'). unfold number, entry. cbn [rows exponent nth].
  apply Rmult_le_compat_r; [apply Rlt_le, pow2_pos|]. apply IZR_le. apply running_ge; [exact T | rewrite L; exact Ht].
Qed.
