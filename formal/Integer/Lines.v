(** rules.md, "max_token rules": the logits of wrong tokens as lines in the attention on the maximum. *)

From Coq Require Import Reals ZArith List Lra Lia Arith Bool.
From Compact Require Import Spec.Model Real.Sums Real.Separation Integer.Dyadic Integer.Matrix Integer.Tables Real.ScaledExp.
From Compact Require Import Integer.Gains Count.Walk Facts.
Import ListNotations.
Open Scope Z_scope.

Definition line := (Z * Z)%type.  (** a slope and an intercept *)

Definition centre_fits (w : weights) (centre : matrix) : bool :=
  match rows centre with [] => true | _ => shape_test centre 1 (width w) end.

(** [PVOU], with what is kept of the direct path. *)
Definition kept_row (w : weights) (centre : matrix) : matrix :=
  match rows centre with
  | [] => {| rows := [repeat 0 (vocabulary w)]; exponent := exponent (PVOU_table w) |}
  | _ => add_row (mul centre (unembed_W_U w)) (direct_constant_table w)
  end.

Definition position_table (w : weights) (centre : matrix) : matrix := add_row (PVOU_table w) (kept_row w centre).

Definition drop {A : Type} (m : nat) (l : list A) : list A := firstn m l ++ skipn (S m) l.

Definition line_unit (values positions : matrix) : Z := Z.min (exponent values) (exponent positions).

(** For each wrong token what it gains per attention on [m], and at most besides. *)
Definition lines_of (values positions : matrix) (unit : Z) (m : nat) : list line :=
  let row := nth m (rows values) [] in
  let own := nth m row 0 in
  let slopes := map (fun x => Z.shiftl (x - own) (exponent values - unit)) row in
  let most := extreme Z.max (map (fun row => let own := nth m row 0 in map (fun x => x - own) row) (rows positions)) in
  drop m (combine slopes (map (fun x => Z.shiftl x (exponent positions - unit)) most)).

Definition line_below (lines : matrix) (r : nat) (a : R) (bound : R) : Prop :=
  exists l, (2 * l + 1 < length (nth r (rows lines) []))%nat /\
    (bound <= number lines r (2 * l) * a + number lines r (2 * l + 1))%R.

Lemma nth_drop : forall (A : Type) m (l : list A) y d, (y < length l)%nat -> y <> m -> In (nth y l d) (drop m l).
Proof.
  intros A m l y d Y other. unfold drop. apply in_app_iff. destruct (Nat.lt_ge_cases y m) as [L|G].
  - left. rewrite <- (Numerators.nth_firstn_lt A m l y d L). apply nth_In. rewrite firstn_length. lia.
  - right. replace y with (S m + (y - S m))%nat by lia. rewrite <- (firstn_skipn (S m) l) at 1.
    assert (F : length (firstn (S m) l) = S m) by (rewrite firstn_length; lia).
    rewrite app_nth2 by (rewrite F; lia). rewrite F. replace (S m + (y - S m) - S m)%nat with (y - S m)%nat by lia.
    apply nth_In. rewrite skipn_length. lia.
Qed.

Section Sound.
Variables (w : weights) (centre : matrix).
Hypothesis good : well_formed w = true.
Hypothesis fits : centre_fits w centre = true.
Notation M := (model_of w).
Notation v := (d_vocab M).
Notation k := (n_ctx M).
Notation positions := (position_table w centre).
Notation unit := (line_unit (EVOU_table w) positions).
Notation lines m := (lines_of (EVOU_table w) positions unit m).

Lemma stands_kept_row : stands_for (kept_row w centre) 1 v (fun _ y => kept_path M centre y).
Proof.
  unfold kept_row, kept_path, centre_fits in *. destruct (rows centre) as [|row more] eqn:C.
  - split; [split; [reflexivity | constructor; [apply repeat_length | constructor]]|].
    intros i j I J. replace i with 0%nat by lia. unfold number, entry. cbn [rows exponent nth]. rewrite nth_repeat. ring.
  - apply shape_test_right in fits. destruct (shapes w good) as (_ & _ & _ & _ & _ & _ & S_U & _).
    destruct (sizes w good) as (_ & d_some & _). eapply stands_ext.
    + apply stands_add_row; [|apply (stands_direct_constant w good)].
      apply stands_mul with (n := d_model M); [exact d_some | apply stands_number; exact fits | apply stands_number; exact S_U].
    + intros i j I J. replace i with 0%nat by lia. reflexivity.
Qed.

Lemma stands_positions : stands_for positions k v (fun p y => (PVOU M p y + kept_path M centre y)%R).
Proof. exact (stands_add_row _ _ _ _ _ _ (stands_PVOU w good) stands_kept_row). Qed.

Lemma lines_spec : forall m y, (m < v)%nat -> (y < v)%nat -> y <> m ->
  exists s b, In (s, b) (lines m) /\ (EVOU M m y - EVOU M m m = IZR s * pow2 unit)%R /\
    forall p, (p < k)%nat -> (kept_path M centre y - kept_path M centre m + (PVOU M p y - PVOU M p m) <= IZR b * pow2 unit)%R.
Proof.
  intros m y Hm Y other. destruct (stands_EVOU w good) as [SV FV]. destruct stands_positions as [SP FP].
  set (V := EVOU_table w) in *. set (P := positions) in *. set (u := line_unit V P) in *.
  assert (u_V : u <= exponent V) by (unfold u, line_unit, V; lia). assert (u_P : u <= exponent P) by (unfold u, line_unit, P; lia).
  unfold lines_of. fold V P u. set (row := nth m (rows V) []).
  assert (Lr : length row = v) by now apply (row_length V v v).
  set (ahead := map (fun row => let own := nth m row 0 in map (fun x => x - own) row) (rows P)).
  assert (U : Forall (fun b => length b = v) ahead).
  { unfold ahead. rewrite Forall_map. destruct SP as [_ SP]. revert SP. apply Forall_impl. intros r L. now rewrite map_length. }
  assert (k_some : (0 < k)%nat) by (destruct (sizes w good) as (_ & _ & _ & K); exact K).
  assert (at_p : forall p, (p < k)%nat -> In (map (fun x => x - nth m (nth p (rows P) []) 0) (nth p (rows P) [])) ahead).
  { intros p Hp. unfold ahead. apply (in_map (fun row => let own := nth m row 0 in map (fun x => x - own) row)). apply nth_In.
    destruct SP as [-> _]. exact Hp. }
  assert (Lm : length (extreme Z.max ahead) = v) by exact (proj1 (extreme_nth v ahead _ y U (at_p 0%nat k_some) Y)).
  set (slopes := map (fun x => Z.shiftl (x - nth m row 0) (exponent V - u)) row).
  set (most := map (fun x => Z.shiftl x (exponent P - u)) (extreme Z.max ahead)).
  exists (nth y slopes 0), (nth y most 0). split; [|split].
  - rewrite <- combine_nth by (unfold slopes, most; rewrite !map_length; lia).
    apply nth_drop; [|exact other]. rewrite combine_length. unfold slopes, most. rewrite !map_length. lia.
  - unfold slopes. rewrite (nth_map _ _ _ row y 0 0) by lia. rewrite !FV by assumption. unfold number, entry. fold row.
    rewrite shiftl_real, minus_IZR by lia.
    replace (powerRZ 2 (exponent V)) with (pow2 (exponent V - u) * pow2 u)%R by (rewrite <- pow2_add; f_equal; lia). ring.
  - intros p Hp. unfold most. rewrite (nth_map _ _ _ _ y 0 0) by lia.
    pose proof (proj2 (extreme_nth v ahead _ y U (at_p p Hp) Y)) as B.
    assert (Lp : length (nth p (rows P) []) = v) by now apply (row_length P k v).
    rewrite (nth_map _ _ _ _ y 0 0) in B by lia. apply IZR_le in B. rewrite minus_IZR in B.
    pose proof (FP p y Hp Y) as F1. pose proof (FP p m Hp Hm) as F2. unfold number, entry in F1, F2.
    rewrite shiftl_real by lia. pose proof (pow2_pos u). pose proof (pow2_pos (exponent P - u)).
    replace (powerRZ 2 (exponent P)) with (pow2 (exponent P - u) * pow2 u)%R in * by (rewrite <- pow2_add; f_equal; lia).
    apply Rle_trans with ((IZR (nth y (nth p (rows P) []) 0%Z) - IZR (nth m (nth p (rows P) []) 0%Z)) * (pow2 (exponent P - u) * pow2 u))%R; [lra|].
    rewrite <- Rmult_assoc. apply Rmult_le_compat_r; [lra|]. apply Rmult_le_compat_r; lra.
Qed.

(** Lines that are nowhere below those of the wrong tokens bound the logits. *)
Lemma lines_bound : forall margin spread (lines' : matrix),
  holds M margin (Direct_path_spread centre spread) ->
  (forall m n s b a, (m < v)%nat -> (n < k)%nat -> In (s, b) (lines m) -> (0 <= a <= 1)%R ->
    line_below lines' (lines_row M lines' m n) a ((IZR s * a + IZR b) * pow2 unit)%R) ->
  holds M margin (Max_token_path spread lines').
Proof.
  intros margin spread lines' D covers. cbn [holds] in *. intros q m y n p a Q Hm Y other N P A.
  destruct (lines_spec m y Hm Y other) as (s & b & I & slope & base). specialize (base p P).
  destruct (covers m n s b a Hm N I A) as (l & small & above). exists l. cbn zeta. split; [exact small|].
  specialize (D q y m ltac:(lia) Y Hm). rewrite slope. lra.
Qed.
End Sound.

(** Where each maximum has a row of its own, that is the row. *)
Lemma row_of_each : forall M row_of e m n, (m < d_vocab M)%nat ->
  let each := {| rows := map row_of (seq 0 (d_vocab M)); exponent := e |} in
  lines_row M each m n = m /\ nth m (map row_of (seq 0 (d_vocab M))) [] = row_of m.
Proof.
  intros M row_of e m n Hm. split.
  - unfold lines_row, row_of_lines. cbn [rows]. rewrite map_length, seq_length. now rewrite (proj2 (Nat.ltb_ge _ _) (Nat.le_refl _)).
  - rewrite (nth_map _ _ row_of (seq 0 (d_vocab M)) m 0%nat []) by (rewrite seq_length; exact Hm). now rewrite seq_nth by exact Hm.
Qed.
