(** rules.md, branch_sequences: exact ties, which no enclosure separates from a narrow miss. *)

From Coq Require Import Reals ZArith List Lra Lia Arith Bool.
From Compact Require Import Spec.Model Real.Sums Real.Separation Integer.Dyadic Integer.Matrix Integer.Tables.
From Compact Require Import Count.Counting.
Import ListNotations.
Open Scope Z_scope.

(** Whether the coefficients of equal scores add up to 0; of pairs (score, coefficient). *)
Fixpoint cancels (fuel : nat) (items : list (Z * Z)) : bool :=
  match items, fuel with
  | [], _ => true
  | _, O => false
  | (s, _) :: _, S fuel' =>
      (add_up (map snd (filter (fun one => fst one =? s) items)) =? 0)
      && cancels fuel' (filter (fun one => negb (fst one =? s)) items)
  end.

Fixpoint weighted (E : Z -> R) (items : list (Z * Z)) : R :=
  match items with [] => 0%R | (s, c) :: rest => (IZR c * E s + weighted E rest)%R end.

Lemma weighted_split : forall E s items, weighted E items =
  (IZR (add_up (map snd (filter (fun one => fst one =? s) items))) * E s
   + weighted E (filter (fun one => negb (fst one =? s)) items))%R.
Proof.
  intros E s. induction items as [|[s' c] items IH]; cbn [weighted filter map add_up fst]; [ring|].
  rewrite IH. destruct (s' =? s) eqn:same; cbn [negb map add_up weighted snd].
  - apply Z.eqb_eq in same. subst s'. rewrite plus_IZR. ring.
  - ring.
Qed.

Lemma cancels_sound : forall E fuel items, cancels fuel items = true -> weighted E items = 0%R.
Proof.
  intros E. induction fuel as [|fuel IH]; intros [|[s c] items] T; try reflexivity; [discriminate|].
  cbn [cancels] in T. apply andb_prop in T. destruct T as [zero rest]. apply Z.eqb_eq in zero.
  rewrite (weighted_split E s), zero, (IH _ rest). ring.
Qed.

(** The exact tables: EUPU, EVOU, PVOU, and the scores of tokens and of positions. *)
Record exact := Exact { direct : matrix; of_token : matrix; of_position : matrix; token_score : matrix; position_score : matrix }.

Definition exact_of (w : weights) : exact :=
  Exact (EUPU_table w) (EVOU_table w) (PVOU_table w) (token_scores_table w) (position_scores_table w).

(** An entry in multiples of [2 ^ unit], for a unit that is no larger than that of the table. *)
Definition in_unit (unit : Z) (A : matrix) (i j : nat) : Z := Z.shiftl (entry A i j) (exponent A - unit).

Section Tied.
Variables (x : exact) (margin : fraction) (q m y : nat).

Definition gain_unit : Z := Z.min 0 (Z.min (exponent (direct x)) (Z.min (exponent (of_token x)) (exponent (of_position x)))).
Definition score_unit : Z := Z.min (exponent (token_score x)) (exponent (position_score x)).

(** The score, and what [y] gains on [m] times the denominator of the margin, both exactly. *)
Definition item (p t : nat) : Z * Z :=
  let ahead A i := in_unit gain_unit A i y - in_unit gain_unit A i m in
  (in_unit score_unit (token_score x) q t + in_unit score_unit (position_score x) q p,
   (ahead (direct x) q + ahead (of_token x) t + ahead (of_position x) p) * snd margin
   + Z.shiftl (fst margin) (- gain_unit)).

Definition tied (t : list nat) : bool :=
  let items := map (fun p => item p (nth p t 0%nat)) (seq 0 (length t)) in cancels (length items) items.
End Tied.

Lemma in_unit_real : forall unit A r c f i j, unit <= exponent A -> stands_for A r c f -> (i < r)%nat -> (j < c)%nat ->
  (f i j = IZR (in_unit unit A i j) * pow2 unit)%R.
Proof.
  intros unit A r c f i j fine [_ F] I J. rewrite F by assumption. unfold number, in_unit.
  rewrite shiftl_real by lia. rewrite Rmult_assoc, <- pow2_add. repeat f_equal. lia.
Qed.

Lemma weighted_sum : forall E f n start, weighted E (map f (seq start n)) =
  sum n (fun i => IZR (snd (f (start + i)%nat)) * E (fst (f (start + i)%nat)))%R.
Proof.
  intros E f. induction n as [|n IH]; intros start; [reflexivity|]. rewrite sum_first. cbn [seq map weighted].
  destruct (f start) as [s c] eqn:F. rewrite Nat.add_0_r, F. cbn [fst snd]. rewrite IH. f_equal.
  apply sum_ext. intros i _. now replace (S start + i)%nat with (start + S i)%nat by lia.
Qed.

Theorem tied_sound : forall w margin m y t,
  let M := model_of w in
  well_formed w = true -> 0 < snd margin -> is_sequence M t -> (m < d_vocab M)%nat -> (y < d_vocab M)%nat ->
  tied (exact_of w) margin (nth (n_ctx M - 1) t 0%nat) m y t = true ->
  numerator M (value_of margin) m y t = 0%R.
Proof.
  intros w margin m y t M good positive [L small] Hm Hy T. unfold tied in T.
  set (q := nth (n_ctx M - 1) t 0%nat) in *.
  set (E := fun s => exp (IZR s * pow2 (score_unit (exact_of w)) / sqrt (INR (d_head M)))).
  pose proof (cancels_sound E _ _ T) as zero. rewrite weighted_sum, L in zero.
  assert (token : forall p, (p < n_ctx M)%nat -> (nth p t 0 < d_vocab M)%nat).
  { intros p P. rewrite Forall_forall in small. apply small, nth_In. now rewrite L. }
  assert (K : (0 < n_ctx M)%nat) by (destruct (sizes w good) as (_ & _ & _ & K); exact K).
  assert (Q : (q < d_vocab M)%nat) by (apply token; lia).
  set (u := gain_unit (exact_of w)) in *.
  apply IZR_lt in positive. pose proof (pow2_pos (- u)) as pu.
  apply Rmult_eq_reg_r with (IZR (snd margin) * pow2 (- u))%R; [|nra]. rewrite Rmult_0_l, <- zero.
  unfold numerator. fold q. rewrite <- sum_scale_r. apply sum_ext. intros p P. rewrite Nat.add_0_l.
  specialize (token p P). set (tp := nth p t 0%nat) in *.
  unfold item. cbn [fst snd]. unfold weight, E. fold u.
  assert (S1 : (token_scores M q tp + position_scores M q p =
    IZR (in_unit (score_unit (exact_of w)) (token_score (exact_of w)) q tp
         + in_unit (score_unit (exact_of w)) (position_score (exact_of w)) q p) * pow2 (score_unit (exact_of w)))%R).
  { rewrite plus_IZR, Rmult_plus_distr_r. f_equal.
    - apply in_unit_real with (2 := stands_token_scores w good); (assumption || (unfold score_unit; cbn; lia)).
    - apply in_unit_real with (2 := stands_position_scores w good); (assumption || (unfold score_unit; cbn; lia)). }
  rewrite S1. match goal with |- context [exp ?a] => set (X := exp a) end.
  rewrite Rmult_assoc, (Rmult_comm X). apply (f_equal (fun r => r * X)%R).
  unfold gain.
  assert (ex : forall i j, (i < d_vocab M)%nat -> (j < d_vocab M)%nat ->
    EUPU M i j = (IZR (in_unit u (direct (exact_of w)) i j) * pow2 u)%R /\
    EVOU M i j = (IZR (in_unit u (of_token (exact_of w)) i j) * pow2 u)%R).
  { intros i j I J. split.
    - apply in_unit_real with (2 := stands_EUPU w good); (assumption || (unfold u, gain_unit; cbn; lia)).
    - apply in_unit_real with (2 := stands_EVOU w good); (assumption || (unfold u, gain_unit; cbn; lia)). }
  assert (pv : forall j, (j < d_vocab M)%nat -> PVOU M p j = (IZR (in_unit u (of_position (exact_of w)) p j) * pow2 u)%R).
  { intros j J. apply in_unit_real with (2 := stands_PVOU w good); (assumption || (unfold u, gain_unit; cbn; lia)). }
  rewrite (proj1 (ex q y Q Hy)), (proj1 (ex q m Q Hm)), (proj2 (ex tp y token Hy)), (proj2 (ex tp m token Hm)),
    (pv y Hy), (pv m Hm).
  rewrite plus_IZR, mult_IZR, !plus_IZR, !minus_IZR, shiftl_real by (unfold u, gain_unit; lia).
  unfold value_of. pose proof (pow2_opp u) as inv. field_simplify_eq; [|lra].
  repeat match goal with |- context [IZR (in_unit ?a ?b ?c ?d)] => generalize (IZR (in_unit a b c d)); intros end.
  replace (pow2 u) with (/ pow2 (- u))%R; [field; lra|].
  apply Rmult_eq_reg_r with (pow2 (- u)); [rewrite Rinv_l; lra | lra].
Qed.
