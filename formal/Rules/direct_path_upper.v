(** rules.md, direct_path_upper: how far the query token alone can favour a wrong token. *)

From Coq Require Import Reals ZArith List Lra Lia Arith Bool.
From Compact Require Import Spec.Model Real.Separation Integer.Dyadic Integer.Matrix Integer.Tables Facts.
Import ListNotations.
Open Scope Z_scope.

(** The largest entry, but for that of [m]; [default] if there is none. *)
Fixpoint largest_other (y m : nat) (row : list Z) : option Z :=
  match row with
  | [] => None
  | x :: rest =>
      match largest_other (S y) m rest with
      | None => if Nat.eqb y m then None else Some x
      | Some best => Some (if Nat.eqb y m then best else Z.max x best)
      end
  end.

Definition largest_but (m : nat) (default : Z) (row : list Z) : Z :=
  match largest_other 0 m row with None => default | Some best => best end.

Lemma largest_other_ge : forall m row y0 i, (i < length row)%nat -> (y0 + i)%nat <> m ->
  exists best, largest_other y0 m row = Some best /\ nth i row 0 <= best.
Proof.
  intros m. induction row as [|x row IH]; intros y0 i I other; [simpl in I; lia|]. cbn [largest_other].
  destruct i as [|i].
  - rewrite Nat.add_0_r in other. apply Nat.eqb_neq in other. rewrite other. cbn [nth].
    destruct (largest_other (S y0) m row) as [best|]; eexists; split; reflexivity || lia.
  - destruct (IH (S y0) i ltac:(simpl in I; lia) ltac:(lia)) as (best & E & below). rewrite E. cbn [nth].
    eexists. split; [reflexivity|]. destruct (Nat.eqb y0 m); lia.
Qed.

Lemma largest_but_ge : forall m default row y, (y < length row)%nat -> y <> m -> nth y row 0 <= largest_but m default row.
Proof.
  intros m default row y Y other. unfold largest_but.
  destruct (largest_other_ge m row 0 y Y other) as (best & E & below). now rewrite E.
Qed.

Definition direct_path_upper (w : weights) (margin : fraction) (e : Z) : outcome fact :=
  let E := EUPU_table w in
  let unit := Z.min (exponent E) e in
  let mu := margin_up margin unit in
  Fine (Direct_path_upper {|
    rows := map (fun m => map (fun row =>
      Z.shiftl (largest_but m (nth m row 0) row - nth m row 0) (exponent E - unit) + mu) (firstn (S m) (rows E)))
      (seq 0 (vocabulary w));
    exponent := unit |}).

Lemma nth_firstn_small : forall (A : Type) n (l : list A) i d, (i < n)%nat -> nth i (firstn n l) d = nth i l d.
Proof.
  induction n as [|n IH]; intros l i d small; [lia|]. destruct l as [|x l]; [reflexivity|].
  destruct i as [|i]; [reflexivity | simpl; apply IH; lia].
Qed.

Theorem direct_path_upper_sound : forall w margin e f,
  well_formed w = true -> 0 < snd margin -> direct_path_upper w margin e = Fine f ->
  holds (model_of w) (value_of margin) f.
Proof.
  intros w margin e f good positive E. unfold direct_path_upper in E. apply fine_eq in E. subst f.
  cbn [holds]. intros q m y Q Hm Hy other.
  destruct (stands_EUPU w good) as [SE F]. set (T := EUPU_table w) in *. clearbody T. set (unit := Z.min (exponent T) e).
  rewrite !F by lia. unfold number, entry. cbn [rows exponent].
  assert (L : length (rows T) = d_vocab (model_of w)) by apply SE.
  assert (Lr : length (nth q (rows T) []) = d_vocab (model_of w)) by (apply (row_length _ _ _ _ SE); lia).
  rewrite (nth_map _ _ _ _ _ 0%nat) by (rewrite seq_length; exact Hm). rewrite seq_nth by exact Hm. cbn [Nat.add]. cbv beta zeta.
  rewrite (nth_map _ _ _ (firstn (S m) (rows T)) q [] 0) by (rewrite firstn_length, L; lia). rewrite nth_firstn_small by lia.
  set (row := nth q (rows T) []) in *.
  pose proof (largest_but_ge m (nth m row 0) row y ltac:(lia) other) as B. apply IZR_le in B.
  destruct (margin_up_bounds margin unit positive) as [_ MU].
  rewrite plus_IZR, shiftl_real, minus_IZR by (unfold unit; lia).
  replace (powerRZ 2 (exponent T)) with (pow2 (exponent T - unit) * pow2 unit)%R by (rewrite <- pow2_add; f_equal; lia).
  pose proof (pow2_pos unit). pose proof (pow2_pos (exponent T - unit)).
  rewrite Rmult_plus_distr_r. apply Rplus_le_compat; [|exact MU].
  apply Rle_trans with ((IZR (nth y row 0%Z) - IZR (nth m row 0%Z)) * pow2 (exponent T - unit) * pow2 unit)%R; [right; ring|].
  apply Rmult_le_compat_r; [lra|]. apply Rmult_le_compat_r; lra.
Qed.
