(** rules.md, Lemma 2: integers that bound what each wrong token gains, for each position and token of a pair (q, m). *)

From Coq Require Import Reals ZArith List Lra Lia Arith.
From Compact Require Import Spec.Model Real.Sums Real.Separation Integer.Dyadic Integer.Matrix Integer.Tables Real.ScaledExp.
From Compact Require Import Count.Walk.
Import ListNotations.
Open Scope R_scope.

(** ** Attention weights *)

(** Of each query: powers of the scores of all tokens, and ends for those of all positions. *)
Record attention_ends := Attention { of_tokens : list (list power); of_positions : list (list (Z * Z)) }.

Definition head_of (w : weights) : Z := Z.of_nat (head_size w).

Definition attention_of (w : weights) (bits : Z) : attention_ends :=
  let T := token_scores_table w in
  let P := position_scores_table w in
  let scales A := fold_right (add_scales (head_of w) bits (exponent A)) in
  let known := scales P (scales T [] (rows T)) (rows P) in
  {| of_tokens := map (exponentials (head_of w) known bits (exponent T)) (rows T);
     of_positions := map (fun row => aligned (exponentials (head_of w) known bits (exponent P) row)) (rows P) |}.

(** Positions, and tokens up to m, of a pair. *)
Definition ends_of_pair (a : attention_ends) (q m : nat) : list (Z * Z) * list (Z * Z) :=
  (nth q (of_positions a) [], aligned (firstn (S m) (nth q (of_tokens a) []))).

Definition ends_at (bits : Z) (ends : list (Z * Z) * list (Z * Z)) (p t : nat) : Z * Z :=
  let (pl, ph) := nth p (fst ends) (0, 0)%Z in
  let (tl, th) := nth t (snd ends) (0, 0)%Z in
  (shift_down (pl * tl) bits, shift_up (ph * th) bits).

Lemma Forall2_nth : forall (A B : Type) (P : A -> B -> Prop) a b da db i,
  Forall2 P a b -> (i < length b)%nat -> P (nth i a da) (nth i b db).
Proof.
  intros A B P a b da db i H. revert i. induction H; intros i L; [simpl in L; lia|].
  destruct i as [|i]; [assumption | apply IHForall2; simpl in L; lia].
Qed.

Lemma Forall2_firstn : forall (A B : Type) (P : A -> B -> Prop) n a b,
  Forall2 P a b -> Forall2 P (firstn n a) (firstn n b).
Proof.
  induction n as [|n IH]; intros a b H; [constructor|]. destruct H; [constructor|]. constructor; auto.
Qed.

Lemma nth_firstn_lt : forall (A : Type) n (l : list A) i d, (i < n)%nat -> nth i (firstn n l) d = nth i l d.
Proof.
  induction n as [|n IH]; intros l i d small; [lia|]. destruct l as [|x l]; [reflexivity|].
  destruct i as [|i]; [reflexivity | simpl; apply IH; lia].
Qed.

Section Weights.
Variables (w : weights) (bits : Z).
Hypothesis good : well_formed w = true.
Hypothesis natural : (0 <= bits)%Z.
Notation M := (model_of w).
Notation root := (sqrt (INR (d_head M))).

Lemma scales_right : forall e known rows, right_memo (head_of w) known ->
  right_memo (head_of w) (fold_right (add_scales (head_of w) bits e) known rows).
Proof. intros e known l right. induction l; [assumption|]. now apply add_scales_right. Qed.

Lemma head_pos : (0 < head_of w)%Z.
Proof. unfold head_of. change (head_size w) with (d_head M). destruct (sizes w good) as (_ & _ & h & _). lia. Qed.

Lemma row_between : forall known A r c f q n,
  right_memo (head_of w) known -> stands_for A r c f -> (q < r)%nat ->
  exists unit, 0 < unit /\ forall j, (j < n)%nat -> (j < c)%nat ->
    between unit (nth j (aligned (firstn n (exponentials (head_of w) known bits (exponent A) (nth q (rows A) [])))) (0, 0)%Z)
            (exp (f q j / root)).
Proof.
  intros known A r c f q n right [S F] Q.
  destruct (exponentials_enclose (head_of w) known bits (exponent A) (nth q (rows A) []) right head_pos natural)
    as (factor & positive & all).
  apply Forall2_firstn with (n := n) in all. apply aligned_between in all. destruct all as (unit & unit_pos & all).
  exists (unit * factor). split; [now apply Rmult_lt_0_compat|]. intros j small J.
  assert (L : length (nth q (rows A) []) = c) by now apply (row_length A r).
  pose proof (Forall2_nth _ _ _ _ _ (0, 0)%Z 0 j all) as at_j.
  rewrite firstn_length, map_length, L in at_j. specialize (at_j ltac:(lia)).
  assert (E : nth j (firstn n (map (fun score => exp (IZR score * pow2 (exponent A) / sqrt (IZR (head_of w))) * factor)
                 (nth q (rows A) []))) 0 = exp (f q j / root) * factor).
  { rewrite nth_firstn_lt by assumption. rewrite (nth_map _ _ _ _ _ 0%Z) by (rewrite L; exact J).
    rewrite F by assumption. unfold number, entry, head_of. rewrite <- INR_IZR_INZ. reflexivity. }
  rewrite E in at_j. unfold between in *. destruct at_j as [N at_j]. split; [assumption|].
  rewrite Rmult_assoc, (Rmult_comm factor) in at_j. exact at_j.
Qed.

(** The ends of positions, and those of tokens, are true up to one factor each. *)
Lemma ends_between : forall q m, (q < d_vocab M)%nat ->
  exists up ut, 0 < up /\ 0 < ut /\ length (fst (ends_of_pair (attention_of w bits) q m)) = n_ctx M /\
    (forall p, (p < n_ctx M)%nat ->
       between up (nth p (fst (ends_of_pair (attention_of w bits) q m)) (0, 0)%Z) (exp (position_scores M q p / root))) /\
    (forall t, (t <= m)%nat -> (t < d_vocab M)%nat ->
       between ut (nth t (snd (ends_of_pair (attention_of w bits) q m)) (0, 0)%Z) (exp (token_scores M q t / root))).
Proof.
  intros q m Q. unfold attention_of, ends_of_pair.
  set (known := fold_right _ _ (rows (position_scores_table w))).
  assert (right : right_memo (head_of w) known) by (apply scales_right, scales_right; constructor).
  pose proof (stands_token_scores w good) as ST. pose proof (stands_position_scores w good) as SP.
  destruct (row_between known _ _ _ _ q (S m) right ST Q) as (ut & ut_pos & tokens).
  destruct (row_between known _ _ _ _ q (n_ctx M) right SP Q) as (up & up_pos & positions).
  exists up, ut. split; [assumption|]. split; [assumption|].
  cbn [fst snd of_tokens of_positions].
  assert (LT : length (rows (token_scores_table w)) = d_vocab M) by apply ST.
  assert (LP : length (rows (position_scores_table w)) = d_vocab M) by apply SP.
  rewrite (nth_map _ _ (exponentials (head_of w) known bits (exponent (token_scores_table w)))
             (rows (token_scores_table w)) q [] []) by (rewrite LT; exact Q).
  rewrite (nth_map _ _ (fun row => aligned (exponentials (head_of w) known bits (exponent (position_scores_table w)) row))
             (rows (position_scores_table w)) q [] []) by (rewrite LP; exact Q).
  assert (Lr : length (nth q (rows (position_scores_table w)) []) = n_ctx M) by (apply (row_length _ _ _ _ (proj1 SP) Q)).
  split; [|split].
  - unfold aligned, exponentials. now rewrite !map_length.
  - intros p P. specialize (positions p P P). rewrite firstn_all2 in positions; [exact positions|].
    unfold exponentials. rewrite map_length. lia.
  - intros t T V. apply tokens; [lia | exact V].
Qed.

Lemma weights_between : forall q m, (q < d_vocab M)%nat ->
  exists unit, 0 < unit /\ forall p t, (p < n_ctx M)%nat -> (t <= m)%nat -> (t < d_vocab M)%nat ->
    between unit (ends_at bits (ends_of_pair (attention_of w bits) q m) p t) (weight M q p t).
Proof.
  intros q m Q. destruct (ends_between q m Q) as (up & ut & up_pos & ut_pos & _ & positions & tokens).
  exists (up * ut * pow2 (- bits)).
  pose proof (pow2_pos (- bits)) as unit. split; [apply Rmult_lt_0_compat; [now apply Rmult_lt_0_compat | assumption]|].
  intros p t P T V. specialize (tokens t T V). specialize (positions p P). unfold ends_at.
  destruct (nth p (fst _) _) as [pl ph]. destruct (nth t (snd _) _) as [tl th].
  unfold between in *. cbn [fst snd] in *.
  destruct tokens as [tn [t1 t2]]. destruct positions as [pn [p1 p2]].
  set (a := exp (token_scores M q t / root) * ut) in *. set (b := exp (position_scores M q p / root) * up) in *.
  assert (E : weight M q p t * (up * ut * pow2 (- bits)) = b * a * pow2 (- bits)).
  { unfold weight, a, b. unfold Rdiv. rewrite Rmult_plus_distr_r, exp_plus. ring. }
  rewrite E. apply (IZR_le 0) in tn as tn'. apply (IZR_le 0) in pn as pn'.
  split; [apply shift_down_nonneg; now apply Z.mul_nonneg_nonneg|]. split.
  - apply Rle_trans with (1 := shift_down_le _ _). rewrite mult_IZR. apply Rmult_le_compat_r; [lra|].
    apply Rmult_le_compat; lra.
  - apply Rle_trans with (2 := shift_up_ge _ _). rewrite mult_IZR. apply Rmult_le_compat_r; [lra|].
    apply Rmult_le_compat; lra.
Qed.
End Weights.

(** ** Gains *)

Record numerators := Numerators {
  bits_of : Z;
  EU : list (list Z); EL : list (list Z);  (** EUPU, up and down *)
  VU : list (list Z); VL : list (list Z);  (** EVOU *)
  PU : list (list Z); PL : list (list Z);  (** PVOU *)
  margin_of : Z;
  bound : Z  (** on what a token gains *) }.

Definition largest_size (T : list (list Z)) : Z := fold_right (fun row a => fold_right (fun x a => Z.max (Z.abs x) a) a row) 0%Z T.

Definition numerators_of (w : weights) (margin : fraction) (e bits : Z) : numerators :=
  let up := rounded shift_up e in
  let down := rounded shift_down e in
  let (E, V) := (EUPU_table w, EVOU_table w) in let P := PVOU_table w in
  let mu := margin_up margin e in
  {| bits_of := bits; EU := up E; EL := down E; VU := up V; VL := down V; PU := up P; PL := down P; margin_of := mu;
     bound := 2 * (largest_size (up E) + largest_size (up V) + largest_size (up P)) + 3 + Z.abs mu |}.

(** At least [w * gain] for every [w] from [low] to [high]. *)
Definition sound_product (product : Z -> Z -> Z -> Z -> Z) : Prop :=
  forall bound gain low high w, (0 <= low)%Z -> IZR low <= w <= IZR high ->
  w * IZR gain <= IZR (product bound gain low high).

(** As a lane of rules.md, Lemma 2; [bound] is never the smaller one there. *)
Definition lane (bound gain low high : Z) : Z := (low * gain + (high - low) * Z.max bound (Z.abs gain))%Z.

Lemma lane_sound : sound_product lane.
Proof.
  intros bound gain low high w natural [l h]. unfold lane. rewrite plus_IZR, !mult_IZR, minus_IZR.
  assert (G : IZR gain <= IZR (Z.max bound (Z.abs gain))) by (apply IZR_le; lia).
  assert (P : 0 <= IZR (Z.max bound (Z.abs gain))) by (apply IZR_le; lia).
  apply Rle_trans with (IZR low * IZR gain + (w - IZR low) * IZR (Z.max bound (Z.abs gain))).
  - replace (w * IZR gain) with (IZR low * IZR gain + (w - IZR low) * IZR gain) by ring.
    apply Rplus_le_compat_l, Rmult_le_compat_l; lra.
  - apply Rplus_le_compat_l, Rmult_le_compat_r; lra.
Qed.

(** The end that makes the product larger. *)
Definition reach (bound gain low high : Z) : Z := (if 0 <=? gain then gain * high else gain * low)%Z.

Lemma reach_sound : sound_product reach.
Proof.
  intros bound gain low high w natural [l h]. unfold reach. apply (IZR_le 0) in natural.
  destruct (0 <=? gain)%Z eqn:S; rewrite mult_IZR.
  - apply Z.leb_le, IZR_le in S. nra.
  - apply Z.leb_gt, IZR_lt in S. nra.
Qed.

Section Pair.
Variable product : Z -> Z -> Z -> Z -> Z.
Variables (N : numerators) (q m : nat).

(** Of every output, what it gains from the token [t] at the position [p]. *)
Definition gains_at (p t : nat) : list Z :=
  let own := (get (EL N) q m + get (VL N) t m + get (PL N) p m - margin_of N)%Z in
  map (fun x => x - own)%Z (zip Z.add (zip Z.add (nth q (EU N) []) (nth t (VU N) [])) (nth p (PU N) [])).

(** Times the weight. *)
Definition terms_at (p t : nat) (ends : Z * Z) : list Z :=
  map (fun gain => product (bound N) gain (fst ends) (snd ends)) (gains_at p t).

(** Six entries of tables and the margin were rounded, each by less than 1. *)
Definition roundings : Z := 7.

(** How far the terms of [reach] may be too high. *)
Definition doubt_at (p t : nat) (ends : Z * Z) : Z :=
  let size := fold_right (fun gain most => Z.max (Z.abs gain) most) (bound N) (gains_at p t) in
  (roundings * snd ends + (snd ends - fst ends) * size)%Z.
End Pair.

Lemma size_ge : forall b gains gain, In gain gains ->
  (Z.abs gain <= fold_right (fun gain most => Z.max (Z.abs gain) most) b gains)%Z.
Proof.
  induction gains as [|x gains IH]; intros gain I; [destruct I|]. cbn [fold_right].
  destruct I as [->|I]; [lia | specialize (IH gain I); lia].
Qed.

Section Gains.
Variables (w : weights) (margin : fraction) (e bits : Z).
Variable product : Z -> Z -> Z -> Z -> Z.
Hypothesis good : well_formed w = true.
Hypothesis fraction_ok : (0 < snd margin)%Z.
Notation M := (model_of w).
Notation v := (d_vocab M).
Notation N := (numerators_of w margin e bits).

Lemma sums_length : forall q p t, (q < v)%nat -> (p < n_ctx M)%nat -> (t < v)%nat ->
  length (nth q (EU N) []) = v /\ length (nth t (VU N) []) = v /\ length (nth p (PU N) []) = v.
Proof.
  intros q p t Q P T. unfold numerators_of. cbn [EU VU PU].
  repeat split; eapply rounded_length; eauto.
  - apply (stands_EUPU w good).
  - apply (stands_EVOU w good).
  - apply (stands_PVOU w good).
Qed.

Lemma gains_length : forall q m p t, (q < v)%nat -> (p < n_ctx M)%nat -> (t < v)%nat ->
  length (gains_at N q m p t) = v.
Proof.
  intros q m p t Q P T. destruct (sums_length q p t Q P T) as (A & B & C).
  unfold gains_at. rewrite map_length. apply zip_length; [apply zip_length|]; assumption.
Qed.

Lemma terms_length : forall q m p t ends, (q < v)%nat -> (p < n_ctx M)%nat -> (t < v)%nat ->
  length (terms_at product N q m p t ends) = v.
Proof. intros. unfold terms_at. rewrite map_length. now apply gains_length. Qed.

Lemma gains_bounds : forall q m p t y,
  (q < v)%nat -> (m < v)%nat -> (p < n_ctx M)%nat -> (t < v)%nat -> (y < v)%nat ->
  (IZR (nth y (gains_at N q m p t) 0%Z) - IZR roundings) * pow2 e
    <= gain M (value_of margin) q m y p t <= IZR (nth y (gains_at N q m p t) 0%Z) * pow2 e.
Proof.
  intros q m p t y Q Hm P T Y. destruct (sums_length q p t Q P T) as (A & B & C).
  unfold gains_at. rewrite (nth_map _ _ _ _ _ 0%Z) by (rewrite (zip_length _ _ _ v); [exact Y | apply zip_length; assumption | assumption]).
  rewrite zip_nth by (rewrite ?(zip_length _ _ _ v); auto; lia). rewrite zip_nth by lia.
  unfold gain, roundings. rewrite !minus_IZR, !plus_IZR.
  pose proof (rounded_up e _ _ _ _ q y (stands_EUPU w good) Q Y).
  pose proof (rounded_up e _ _ _ _ t y (stands_EVOU w good) T Y).
  pose proof (rounded_up e _ _ _ _ p y (stands_PVOU w good) P Y).
  pose proof (rounded_down e _ _ _ _ q m (stands_EUPU w good) Q Hm).
  pose proof (rounded_down e _ _ _ _ t m (stands_EVOU w good) T Hm).
  pose proof (rounded_down e _ _ _ _ p m (stands_PVOU w good) P Hm).
  pose proof (rounded_up_by_1 e _ _ _ _ q y (stands_EUPU w good) Q Y).
  pose proof (rounded_up_by_1 e _ _ _ _ t y (stands_EVOU w good) T Y).
  pose proof (rounded_up_by_1 e _ _ _ _ p y (stands_PVOU w good) P Y).
  pose proof (rounded_down_by_1 e _ _ _ _ q m (stands_EUPU w good) Q Hm).
  pose proof (rounded_down_by_1 e _ _ _ _ t m (stands_EVOU w good) T Hm).
  pose proof (rounded_down_by_1 e _ _ _ _ p m (stands_PVOU w good) P Hm).
  pose proof (margin_up_bounds margin e fraction_ok).
  unfold numerators_of. cbn [EU EL VU VL PU PL margin_of]. unfold get in *. lra.
Qed.

Lemma weight_pos : forall q p t, 0 < weight M q p t.
Proof. intros. apply exp_pos. Qed.

Lemma terms_above : forall q m p t ends y unit, sound_product product ->
  (q < v)%nat -> (m < v)%nat -> (p < n_ctx M)%nat -> (t < v)%nat -> (y < v)%nat -> 0 < unit ->
  between unit ends (weight M q p t) ->
  weight M q p t * gain M (value_of margin) q m y p t * unit
    <= IZR (nth y (terms_at product N q m p t ends) 0%Z) * pow2 e.
Proof.
  intros q m p t ends y unit sound Q Hm P T Y positive [natural ends_ok].
  unfold terms_at. rewrite (nth_map _ _ _ _ _ 0%Z) by (rewrite gains_length; assumption).
  destruct (gains_bounds q m p t y Q Hm P T Y) as [_ G]. set (g := nth y _ 0%Z) in *.
  pose proof (pow2_pos e). pose proof (weight_pos q p t) as W.
  apply Rle_trans with (weight M q p t * unit * IZR g * pow2 e).
  - replace (weight M q p t * gain M (value_of margin) q m y p t * unit)
      with (weight M q p t * unit * gain M (value_of margin) q m y p t) by ring.
    rewrite (Rmult_assoc (weight M q p t * unit) (IZR g)). apply Rmult_le_compat_l; [|exact G].
    apply Rlt_le, Rmult_lt_0_compat; assumption.
  - apply Rmult_le_compat_r; [lra|]. now apply sound.
Qed.
End Gains.

(** What [reach] says is not much too high. *)
Lemma terms_below : forall w margin e bits q m p t ends y unit,
  let M := model_of w in let N := numerators_of w margin e bits in
  well_formed w = true -> (0 < snd margin)%Z ->
  (q < d_vocab M)%nat -> (m < d_vocab M)%nat -> (p < n_ctx M)%nat -> (t < d_vocab M)%nat -> (y < d_vocab M)%nat ->
  0 < unit -> between unit ends (weight M q p t) ->
  IZR (nth y (terms_at reach N q m p t ends) 0%Z - doubt_at N q m p t ends) * pow2 e
    <= weight M q p t * gain M (value_of margin) q m y p t * unit.
Proof.
  intros w margin e bits q m p t [low high] y unit M N good fraction_ok Q Hm P T Y positive [natural [lo hi]].
  cbn [fst snd] in *.
  destruct (gains_bounds w margin e bits good fraction_ok q m p t y Q Hm P T Y) as [G _]. fold M N in G.
  pose proof (gains_length w margin e bits good q m p t Q P T) as L. fold M N in L.
  unfold terms_at, doubt_at. rewrite (nth_map _ _ _ _ _ 0%Z) by (rewrite L; exact Y). cbn [fst snd].
  assert (S : (Z.abs (nth y (gains_at N q m p t) 0) <=
    fold_right (fun gain most => Z.max (Z.abs gain) most) (bound N) (gains_at N q m p t))%Z)
    by (apply size_ge, nth_In; rewrite L; exact Y).
  set (size := fold_right _ _ _) in *. set (g := nth y (gains_at N q m p t) 0%Z) in *.
  pose proof (pow2_pos e) as pe. pose proof (weight_pos w q p t) as W. fold M in W.
  set (a := weight M q p t * unit) in *. assert (a_pos : 0 < a) by (apply Rmult_lt_0_compat; assumption).
  replace (weight M q p t * gain M (value_of margin) q m y p t * unit)
    with (a * gain M (value_of margin) q m y p t) by (unfold a; ring).
  apply Rle_trans with (a * ((IZR g - IZR roundings) * pow2 e)); [|apply Rmult_le_compat_l; lra].
  rewrite <- Rmult_assoc. apply Rmult_le_compat_r; [lra|].
  rewrite minus_IZR, plus_IZR, !mult_IZR, minus_IZR.
  assert (g_size : - IZR size <= IZR g <= IZR size).
  { rewrite <- opp_IZR. split; apply IZR_le; lia. }
  apply (IZR_le 0) in natural. assert (0 <= IZR roundings) by (apply IZR_le; unfold roundings; lia).
  assert (product_ok : IZR (reach (bound N) g low high) <= a * IZR g + (IZR high - IZR low) * IZR size).
  { unfold reach. destruct (0 <=? g)%Z eqn:Sg; rewrite mult_IZR.
    - apply Z.leb_le, IZR_le in Sg.
      assert ((IZR high - a) * IZR g <= (IZR high - IZR low) * IZR size) by (apply Rmult_le_compat; lra). lra.
    - apply Z.leb_gt, IZR_lt in Sg.
      assert ((a - IZR low) * (- IZR g) <= (IZR high - IZR low) * IZR size) by (apply Rmult_le_compat; lra). lra. }
  assert (a * IZR roundings <= IZR high * IZR roundings) by (apply Rmult_le_compat_r; lra). lra.
Qed.
