(** rules.md, max_token_mean: two lines through the largest value at a given attention. *)

From Coq Require Import Reals ZArith List Lra Lia Arith Bool.
From Compact Require Import Spec.Model Integer.Dyadic Integer.Matrix Integer.Tables Real.ScaledExp Integer.Lines Facts.
Import ListNotations.
Open Scope Z_scope.

(** In units [2 ^ finer] finer than those of the lines; the attention is [centre / 2 ^ finer]. *)
Definition two_lines (finer centre : Z) (some : list line) : list Z :=
  match some with
  | [] => []
  | _ =>
      let top := largest (map (fun l => Z.shiftl (snd l) finer + fst l * centre) some) in
      let high := largest (map fst some) in
      let low := - largest (map (fun l => - fst l) some) in
      [Z.shiftl high finer; top - high * centre; Z.shiftl low finer; top - low * centre]
  end.

Definition max_token_mean (w : weights) (centres centre spread : matrix) : outcome fact :=
  let (v, k) := (vocabulary w, positions w) in
  require (centre_fits w centre) wrong_shape
  (require (shape_test centres v k && (exponent centres <=? 0)) wrong_shape
  (let V := EVOU_table w in
   let P := position_table w centre in
   let unit := line_unit V P in
   let finer := - exponent centres in
   Fine (Max_token_path spread
     {| rows := flat_map (fun m => let some := lines_of V P unit m in
          map (fun c => two_lines finer c some) (nth m (rows centres) [])) (seq 0 v);
        exponent := unit - finer |}))).

Lemma nth_flat_map : forall (A B : Type) (f : A -> list B) c l i j da db, (forall x, In x l -> length (f x) = c) ->
  (i < length l)%nat -> (j < c)%nat -> nth (i * c + j) (flat_map f l) db = nth j (f (nth i l da)) db.
Proof.
  intros A B f c. induction l as [|x l IH]; intros i j da db each I J; [simpl in I; lia|]. cbn [flat_map].
  pose proof (each x (or_introl eq_refl)) as L. destruct i as [|i].
  - cbn [Nat.mul Nat.add nth]. apply app_nth1. lia.
  - rewrite app_nth2 by (rewrite L; nia). rewrite L. replace (S i * c + j - c)%nat with (i * c + j)%nat by nia. cbn [nth].
    apply IH; [intros; apply each; now right | simpl in I; lia | exact J].
Qed.

Lemma flat_map_rows : forall (A B : Type) (f : A -> list B) c l, (forall x, In x l -> length (f x) = c) ->
  length (flat_map f l) = (length l * c)%nat.
Proof.
  intros A B f c. induction l as [|x l IH]; intros each; [reflexivity|]. cbn [flat_map length].
  rewrite app_length, (each x (or_introl eq_refl)), IH by (intros; apply each; now right). lia.
Qed.

Theorem max_token_mean_sound : forall w margin centres centre spread f, well_formed w = true ->
  holds (model_of w) margin (Direct_path_spread centre spread) -> max_token_mean w centres centre spread = Fine f ->
  holds (model_of w) margin f.
Proof.
  intros w margin centres centre spread f good D E. unfold max_token_mean in E. apply require_fine in E. destruct E as [fits E].
  apply require_fine in E. destruct E as [shape E]. apply andb_prop in shape. destruct shape as [shape finer_ok].
  apply shape_test_right in shape. apply Z.leb_le in finer_ok. apply fine_eq in E. subst f.
  apply (lines_bound w centre good fits margin spread _ D). intros m n s b a Hm N I A.
  set (unit := line_unit (EVOU_table w) (position_table w centre)) in *. set (finer := - exponent centres) in *.
  set (row_of := fun m => let some := lines_of (EVOU_table w) (position_table w centre) unit m in
    map (fun c => two_lines finer c some) (nth m (rows centres) [])).
  set (v := vocabulary w) in *. set (k := positions w) in *.
  assert (Lr : forall m', In m' (seq 0 v) -> length (row_of m') = k).
  { intros m' J. apply in_seq in J. unfold row_of. rewrite map_length. apply (row_length centres v k); [exact shape | lia]. }
  assert (r : lines_row (model_of w) {| rows := flat_map row_of (seq 0 v); exponent := unit - finer |} m n = (m * k + n)%nat).
  { unfold lines_row, row_of_lines. cbn [rows]. rewrite (flat_map_rows _ _ row_of k) by exact Lr. rewrite seq_length.
    change (d_vocab (model_of w)) with v. change (n_ctx (model_of w)) with k in *. change (d_vocab (model_of w)) with v in Hm.
    destruct (Nat.ltb v (v * k)) eqn:T; [reflexivity|]. apply Nat.ltb_ge in T. assert (k = 1)%nat by nia. nia. }
  rewrite r. unfold line_below, number, entry. cbn [rows exponent].
  rewrite (nth_flat_map _ _ row_of k (seq 0 v) m n 0%nat []) by (try exact Lr; rewrite ?seq_length; exact Hm || exact N).
  rewrite seq_nth by exact Hm. cbn [Nat.add]. unfold row_of.
  assert (Lc : length (nth m (rows centres) []) = k) by (apply (row_length centres v k); assumption).
  rewrite (nth_map _ _ _ (nth m (rows centres) []) n 0 []) by (rewrite Lc; exact N).
  set (c := nth n (nth m (rows centres) []) 0).
  unfold two_lines. set (some := lines_of _ _ unit m) in *. destruct some as [|first rest] eqn:L; [destruct I|]. rewrite <- L in *. clear L.
  set (top := largest (map (fun l => Z.shiftl (snd l) finer + fst l * c) some)).
  set (high := largest (map fst some)). set (low := - largest (map (fun l => - fst l) some)).
  assert (T : Z.shiftl b finer + s * c <= top)
    by (apply (largest_ge _ _ (in_map (fun l => Z.shiftl (snd l) finer + fst l * c) some (s, b) I))).
  assert (H : s <= high) by (apply (largest_ge _ _ (in_map fst some (s, b) I))).
  assert (Lo : low <= s).
  { pose proof (largest_ge _ _ (in_map (fun l : line => - fst l) some (s, b) I)) as X. cbn [fst] in X. unfold low.
    apply Z.opp_le_mono. rewrite Z.opp_involutive. exact X. }
  apply IZR_le in T, H, Lo. rewrite plus_IZR, mult_IZR in T.
  assert (finer_nonneg : 0 <= finer) by (unfold finer; lia). rewrite shiftl_real in T by exact finer_nonneg.
  set (p := pow2 finer) in *. assert (p_pos : (0 < p)%R) by apply pow2_pos.
  assert (units : forall x, (x * pow2 (unit - finer) * p = x * pow2 unit)%R).
  { intros x. unfold p. rewrite Rmult_assoc, <- pow2_add. repeat f_equal. lia. }
  set (u := pow2 (unit - finer)) in *. assert (u_pos : (0 < u)%R) by apply pow2_pos.
  assert (goal : ((IZR s * a + IZR b) * pow2 unit = ((IZR s * a + IZR b) * p) * u)%R) by (rewrite <- units; ring).
  rewrite goal. destruct (Rle_lt_dec (IZR c) (a * p)) as [after|before].
  - exists 0%nat. split; [cbn [length]; lia|]. cbn [Nat.mul Nat.add nth]. rewrite minus_IZR, mult_IZR, shiftl_real by exact finer_nonneg. fold p.
    apply Rle_trans with ((IZR high * p * a + (IZR top - IZR high * IZR c)) * u)%R; [|right; ring].
    apply Rmult_le_compat_r; [lra|]. nra.
  - exists 1%nat. split; [cbn [length]; lia|]. cbn [Nat.mul Nat.add nth]. rewrite minus_IZR, mult_IZR, shiftl_real by exact finer_nonneg. fold p.
    apply Rle_trans with ((IZR low * p * a + (IZR top - IZR low * IZR c)) * u)%R; [|right; ring].
    apply Rmult_le_compat_r; [lra|]. nra.
Qed.
