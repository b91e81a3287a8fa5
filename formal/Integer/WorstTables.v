(** rules.md, separable_counts: gains times weights. What no wrong token of a class exceeds, for any query of a block; and
    what one wrong token surely has. *)

From Coq Require Import Reals ZArith List Lra Lia Arith Bool.
From Compact Require Import Spec.Model Real.Sums Real.Separation Integer.Dyadic Integer.Matrix Integer.Tables Real.ScaledExp.
From Compact Require Import Integer.Numerators Integer.QueryWeights Integer.Gains Count.Walk Facts.
Import ListNotations.
Open Scope Z_scope.

(** ** Weights of a query in pools, and at its own position *)

Record pool_weights := Pool_weights { in_pools : list (list (Z * Z)); at_query : Z * Z }.

Definition pool_weights_of (bits : Z) (a : query_weights) (m : nat) (pool_of : list nat) (pools q : nat) : pool_weights :=
  let tokens := token_ends a q m in
  let places := place_ends bits a q tokens in
  {| in_pools := map (fun i =>
       let h := hull (map (fun p => nth p places (0, 0)) (positions_of pool_of i)) in map (product_ends h) tokens) (seq 0 pools);
     at_query := product_ends (nth (length pool_of) places (0, 0)) (nth q tokens (0, 0)) |}.

(** ** The worst of several queries; the last row has one entry for each of them *)

Definition reached (gain : Z) (ends : Z * Z) : Z := reach 0 gain (fst ends) (snd ends).

Definition worst (pools : nat) (gains : list (list Z)) (queries : list (pool_weights * (Z * Z))) : list (list Z) :=
  map (fun i =>
    let row := nth i gains [] in
    extreme Z.max (map (fun one : pool_weights * (Z * Z) => let (ws, more) := one in
      map (fun x : Z * (Z * Z) => reached (fst x + fst more) (snd x)) (combine row (nth i (in_pools ws) []))) queries)) (seq 0 pools)
  ++ [map (fun one : pool_weights * (Z * Z) => let (ws, more) := one in reached (snd more + fst more) (at_query ws)) queries].

(** ** At least, for one wrong token and query *)

Definition smallest (l : list Z) : Z := - largest (map Z.opp l).

Definition least_table (N : numerators) (m y q : nat) (pool_of : list nat) (pools : nat) (ws : pool_weights) : list (list Z) :=
  let direct := get (EL N) q y - get (EU N) q m + margin_of N - 1 in
  let place p := get (PL N) p y - get (PU N) p m in
  let value t := get (VL N) t y - get (VU N) t m in
  map (fun i =>
    let from := direct + smallest (map place (positions_of pool_of i)) in
    map (fun x : nat * (Z * Z) => - reached (- (from + value (fst x))) (snd x)) (combine (seq 0 (S m)) (nth i (in_pools ws) [])))
    (seq 0 pools)
  ++ [[- reached (- (direct + place (length pool_of) + value q)) (at_query ws)]].

Lemma smallest_le : forall l x, In x l -> smallest l <= x.
Proof. intros l x I. unfold smallest. pose proof (largest_ge (map Z.opp l) (- x) (in_map Z.opp l x I)). lia. Qed.

Section Sound.
Variables (w : weights) (margin : fraction) (e bits : Z) (kept : matrix) (error : list Z).
Hypothesis good : well_formed w = true.
Hypothesis fraction_ok : 0 < snd margin.
Hypothesis natural : 0 <= bits.
Notation M := (model_of w).
Notation v := (d_vocab M).
Notation k := (n_ctx M).
Notation N := (numerators_of w margin e bits).
Notation mu := (value_of margin).
Hypothesis close : holds M mu (Score_approximation kept error).
Notation A := (query_weights_of w kept error bits).
Variables (m pools : nat) (pool_of : list nat).
Hypothesis m_small : (m < v)%nat.
Hypothesis places : length pool_of = (k - 1)%nat.
Hypothesis in_a_pool : Forall (fun i => (i < pools)%nat) pool_of.
Notation weights_of q := (pool_weights_of bits A m pool_of pools q).

(** The weights of the query are right up to the factor [unit]. *)
Definition right_weights (ws : pool_weights) (q : nat) (unit : R) : Prop :=
  (0 < unit)%R /\
  (forall p t, (p < length pool_of)%nat -> (t <= m)%nat ->
     length (nth (nth p pool_of 0%nat) (in_pools ws) []) = S m /\
     between unit (nth t (nth (nth p pool_of 0%nat) (in_pools ws) []) (0, 0)) (weight M q p t)) /\
  between unit (at_query ws) (weight M q (length pool_of) q).

Lemma weights_right : forall q, (q <= m)%nat -> exists unit, right_weights (weights_of q) q unit.
Proof.
  intros q Q. pose proof (before_query w good m pool_of m_small places) as B.
  destruct (pair_enclosed w kept error bits mu good natural close q m ltac:(lia) m_small) as (Lt & Lp & up & ut & up_pos & ut_pos & near_p & near_t).
  set (tokens := token_ends A q m) in *. set (ends := place_ends bits A q tokens) in *.
  exists (up * ut)%R. split; [now apply Rmult_lt_0_compat|].
  assert (product : forall p t a b, between up a (exp (position_scores M q p / sqrt (INR (d_head M)))) ->
    between ut b (exp (token_scores M q t / sqrt (INR (d_head M)))) -> between (up * ut) (product_ends a b) (weight M q p t)).
  { intros p t a b H1 H2. replace (weight M q p t)
      with (exp (position_scores M q p / sqrt (INR (d_head M))) * exp (token_scores M q t / sqrt (INR (d_head M))))%R.
    - apply product_between; auto using exp_pos.
    - unfold weight. rewrite <- exp_plus. f_equal. unfold Rdiv. ring. }
  split.
  - intros p t P T. unfold pool_weights_of. cbn [in_pools]. fold tokens. fold ends.
    pose proof (pool_small pools pool_of in_a_pool p P) as S. set (i := nth p pool_of 0%nat) in *.
    rewrite (nth_map _ _ _ (seq 0 pools) i 0%nat []) by now rewrite seq_length. rewrite seq_nth by assumption. cbn [Nat.add].
    split; [now rewrite map_length|]. rewrite (nth_map _ _ _ tokens t (0, 0)) by lia. apply product; [|now apply near_t].
    apply (hull_holds _ up (map (fun p => exp (position_scores M q p / sqrt (INR (d_head M)))%R) (positions_of pool_of i))).
    + pose proof (positions_of_small pool_of i) as small. induction (positions_of pool_of i) as [|p' l IH]; cbn [map]; constructor.
      * apply near_p. specialize (small p' (or_introl eq_refl)). lia.
      * apply IH. intros. apply small. now right.
    + apply (in_map (fun p => exp (position_scores M q p / sqrt (INR (d_head M)))%R)). now apply positions_of_spec.
  - unfold pool_weights_of. cbn [at_query]. fold tokens. fold ends. apply product; [apply near_p; lia | now apply near_t].
Qed.

(** ** Of a class *)

Section Class.
Variables (one : list Z) (queries : list nat).
Hypothesis fits : factors_fit v one = true.
Hypothesis queries_small : Forall (fun q => (q <= m)%nat) queries.
Variables (y : nat).
Hypothesis y_small : (y < v)%nat.
Hypothesis y_in : Z.testbit (hd 0 one) (Z.of_nat y) = true.
Notation c := (factor_of v one y).
Notation G := (gains_of N v m pool_of pools queries one).

Variables (asked : list (pool_weights * (Z * Z))) (ws : pool_weights) (q : nat) (own at_own : Z) (unit : R).
Hypothesis among : In (ws, (own, at_own)) asked.
Hypothesis its_gains : In (q, (own, at_own)) (of_queries G).
Hypothesis its_weights : right_weights ws q unit.
Hypothesis all_weights : forall ws' more, In (ws', more) asked -> exists q' unit', right_weights ws' q' unit'.
Notation table := (worst pools (of_token G) asked).

Lemma times_weight : forall p t ends x, (p < k)%nat -> (t <= m)%nat -> between unit ends (weight M q p t) ->
  c * nth y (gains_at N q m p t) 0 <= x ->
  (IZR c * (weight M q p t * gain M mu q m y p t) * unit <= IZR (reached x ends) * pow2 e)%R.
Proof.
  intros p t [low high] x P T [N1 N2] X. cbn [fst snd] in *.
  assert (Q : (q <= m)%nat).
  { unfold gains_of in its_gains. cbn [of_queries] in its_gains. apply in_map_iff in its_gains. destruct its_gains as (q' & E & I).
    assert (q' = q) by exact (f_equal fst E). subst q'. rewrite Forall_forall in queries_small. now apply queries_small. }
  destruct its_weights as (unit_pos & _).
  pose proof (factor_pos w m pool_of m_small places one fits y y_small y_in) as C. apply IZR_lt in C.
  destruct (gains_bounds w margin e bits good fraction_ok q m p t y ltac:(lia) m_small P ltac:(lia) y_small) as [_ B].
  apply IZR_le in X. rewrite mult_IZR in X.
  pose proof (reach_sound 0 x low high (weight M q p t * unit)%R N1 N2) as R. unfold reached. cbn [fst snd].
  pose proof (pow2_pos e) as pe. pose proof (weight_pos w q p t) as W.
  apply Rle_trans with (weight M q p t * unit * IZR x * pow2 e)%R; [|apply Rmult_le_compat_r; lra].
  set (a := (weight M q p t * unit)%R) in *. assert (a_pos : (0 < a)%R) by (apply Rmult_lt_0_compat; assumption).
  replace (IZR c * (weight M q p t * gain M mu q m y p t) * unit)%R with (a * (IZR c * gain M mu q m y p t))%R by (unfold a; ring).
  rewrite (Rmult_assoc a). apply Rmult_le_compat_l; [lra|].
  apply Rle_trans with (IZR c * (IZR (nth y (gains_at N q m p t) 0%Z) * pow2 e))%R; [apply Rmult_le_compat_l; lra|].
  rewrite <- Rmult_assoc. apply Rmult_le_compat_r; lra.
Qed.

Lemma worst_before : forall p t, (p < length pool_of)%nat -> (t <= m)%nat ->
  (IZR c * (weight M q p t * gain M mu q m y p t) * unit <= IZR (nth t (nth (nth p pool_of 0%nat) table []) 0%Z) * pow2 e)%R.
Proof.
  intros p t P T. pose proof (before_query w good m pool_of m_small places) as B.
  pose proof (pool_small pools pool_of in_a_pool p P) as S. pose proof its_weights as (unit_pos & near & _).
  destruct (near p t P T) as [Lw W].
  pose proof (gains_before w margin e bits good m pools pool_of m_small places in_a_pool one queries fits queries_small y y_small y_in
    q own at_own p t its_gains P T) as X.
  apply Rle_trans with (1 := times_weight p t _ _ ltac:(lia) T W X).
  apply Rmult_le_compat_r; [apply Rlt_le, pow2_pos|]. apply IZR_le.
  unfold worst. rewrite app_nth1 by (rewrite map_length, seq_length; exact S).
  set (i := nth p pool_of 0%nat) in *.
  rewrite (nth_map _ _ _ (seq 0 pools) i 0%nat []) by now rewrite seq_length. rewrite seq_nth by assumption. cbn [Nat.add].
  set (row := nth i (of_token G) []) in *.
  assert (Lr : length row = Datatypes.S m).
  { unfold row, gains_of. cbn [of_token]. rewrite (nth_map _ _ _ (seq 0 pools) i 0%nat []) by now rewrite seq_length.
    now rewrite !map_length, seq_length. }
  set (f := fun one : pool_weights * (Z * Z) => let (ws, more) := one in
    map (fun x : Z * (Z * Z) => reached (fst x + fst more) (snd x)) (combine row (nth i (in_pools ws) []))).
  assert (U : Forall (fun b => length b = Datatypes.S m) (map f asked)).
  { rewrite Forall_map. apply Forall_forall. intros [ws' more] J. unfold f. rewrite map_length, combine_length.
    destruct (all_weights ws' more J) as (q' & unit' & _ & near' & _). destruct (near' p t P T) as [L' _]. fold i in L'. lia. }
  destruct (extreme_nth _ _ (f (ws, (own, at_own))) t U (in_map f _ _ among) ltac:(lia)) as [_ E].
  apply Z.le_trans with (2 := E). unfold f. cbn [fst].
  rewrite (nth_map _ _ _ (combine row _) t (0, (0, 0))) by (rewrite combine_length; lia).
  rewrite combine_nth by lia. cbn [fst snd]. lia.
Qed.

Lemma worst_row_length : forall p, (p < length pool_of)%nat -> length (nth (nth p pool_of 0%nat) table []) = Datatypes.S m.
Proof.
  intros p P. pose proof (pool_small pools pool_of in_a_pool p P) as S. pose proof its_weights as (unit_pos & near & _).
  unfold worst. rewrite app_nth1 by (rewrite map_length, seq_length; exact S).
  set (i := nth p pool_of 0%nat) in *.
  rewrite (nth_map _ _ _ (seq 0 pools) i 0%nat []) by now rewrite seq_length. rewrite seq_nth by assumption. cbn [Nat.add].
  set (row := nth i (of_token G) []).
  assert (Lr : length row = Datatypes.S m).
  { unfold row, gains_of. cbn [of_token]. rewrite (nth_map _ _ _ (seq 0 pools) i 0%nat []) by now rewrite seq_length.
    now rewrite !map_length, seq_length. }
  set (f := fun one : pool_weights * (Z * Z) => let (ws, more) := one in
    map (fun x : Z * (Z * Z) => reached (fst x + fst more) (snd x)) (combine row (nth i (in_pools ws) []))).
  apply (extreme_nth _ _ (f (ws, (own, at_own))) 0); [|now apply in_map | lia].
  rewrite Forall_map. apply Forall_forall. intros [ws' more] J. unfold f. rewrite map_length, combine_length.
  destruct (all_weights ws' more J) as (q' & unit' & _ & near' & _). destruct (near' p 0%nat P ltac:(lia)) as [L' _]. fold i in L'. lia.
Qed.

(** The entry of the query in the last row. *)
Lemma worst_at_query :
  (IZR c * (weight M q (length pool_of) q * gain M mu q m y (length pool_of) q) * unit
    <= IZR (reached (at_own + own) (at_query ws)) * pow2 e)%R.
Proof.
  pose proof (before_query w good m pool_of m_small places) as B. pose proof its_weights as (_ & _ & near).
  assert (Q : (q <= m)%nat).
  { unfold gains_of in its_gains. cbn [of_queries] in its_gains. apply in_map_iff in its_gains. destruct its_gains as (q' & E & I).
    assert (q' = q) by exact (f_equal fst E). subst q'. rewrite Forall_forall in queries_small. now apply queries_small. }
  apply times_weight; [exact B | exact Q | exact near|].
  exact (gains_at_query w margin e bits good m pools pool_of m_small places one queries fits queries_small y y_small y_in
    q own at_own its_gains).
Qed.
End Class.

(** ** Of one wrong token, from below *)

Section Least.
Variables (y q : nat) (ws : pool_weights) (unit : R).
Hypothesis y_small : (y < v)%nat.
Hypothesis q_le_m : (q <= m)%nat.
Hypothesis its_weights : right_weights ws q unit.
Notation table := (least_table N m y q pool_of pools ws).

Definition least_gain (p t : nat) : Z :=
  get (EL N) q y - get (EU N) q m + margin_of N - 1 + (get (PL N) p y - get (PU N) p m) + (get (VL N) t y - get (VU N) t m).

Lemma least_gain_bound : forall p t, (p < k)%nat -> (t <= m)%nat ->
  (IZR (least_gain p t) * pow2 e <= gain M mu q m y p t)%R.
Proof.
  intros p t P T. unfold least_gain, gain.
  pose proof (rounded_down e _ _ _ _ q y (stands_EUPU w good) ltac:(lia) y_small).
  pose proof (rounded_down e _ _ _ _ t y (stands_EVOU w good) ltac:(lia) y_small).
  pose proof (rounded_down e _ _ _ _ p y (stands_PVOU w good) P y_small).
  pose proof (rounded_up e _ _ _ _ q m (stands_EUPU w good) ltac:(lia) m_small).
  pose proof (rounded_up e _ _ _ _ t m (stands_EVOU w good) ltac:(lia) m_small).
  pose proof (rounded_up e _ _ _ _ p m (stands_PVOU w good) P m_small).
  pose proof (margin_up_bounds margin e fraction_ok).
  rewrite !plus_IZR, !minus_IZR, plus_IZR, minus_IZR.
  unfold numerators_of. cbn [EU EL VU VL PU PL margin_of]. lra.
Qed.

Lemma least_times_weight : forall p t ends x, (p < k)%nat -> (t <= m)%nat -> between unit ends (weight M q p t) ->
  x <= least_gain p t ->
  (IZR (- reached (- x) ends) * pow2 e <= weight M q p t * gain M mu q m y p t * unit)%R.
Proof.
  intros p t [low high] x P T [N1 N2] X. cbn [fst snd] in *. destruct its_weights as (unit_pos & _).
  pose proof (least_gain_bound p t P T) as B. apply IZR_le in X.
  pose proof (reach_sound 0 (- x) low high (weight M q p t * unit)%R N1 N2) as R. unfold reached. cbn [fst snd].
  rewrite opp_IZR in *. pose proof (pow2_pos e) as pe. pose proof (weight_pos w q p t) as W.
  set (a := (weight M q p t * unit)%R) in *. assert (a_pos : (0 < a)%R) by (apply Rmult_lt_0_compat; assumption).
  replace (weight M q p t * gain M mu q m y p t * unit)%R with (a * gain M mu q m y p t)%R by (unfold a; ring).
  apply Rle_trans with (a * (IZR x * pow2 e))%R.
  - rewrite <- Rmult_assoc. apply Rmult_le_compat_r; lra.
  - apply Rmult_le_compat_l; [lra|]. apply Rle_trans with (2 := B). apply Rmult_le_compat_r; lra.
Qed.

Lemma least_before : forall p t, (p < length pool_of)%nat -> (t <= m)%nat ->
  (IZR (nth t (nth (nth p pool_of 0%nat) table []) 0%Z) * pow2 e <= weight M q p t * gain M mu q m y p t * unit)%R.
Proof.
  intros p t P T. pose proof (before_query w good m pool_of m_small places) as B.
  pose proof (pool_small pools pool_of in_a_pool p P) as S. pose proof its_weights as (_ & near & _).
  destruct (near p t P T) as [Lw W].
  unfold least_table. rewrite app_nth1 by (rewrite map_length, seq_length; exact S).
  set (i := nth p pool_of 0%nat) in *.
  rewrite (nth_map _ _ _ (seq 0 pools) i 0%nat []) by now rewrite seq_length. rewrite seq_nth by assumption. cbn [Nat.add].
  rewrite (nth_map _ _ _ (combine _ _) t (0%nat, (0, 0))) by (rewrite combine_length, seq_length; lia).
  rewrite combine_nth by (rewrite seq_length; lia). cbn [fst snd]. rewrite seq_nth by lia. cbn [Nat.add].
  apply least_times_weight; [lia | exact T | exact W|]. unfold least_gain.
  pose proof (smallest_le (map (fun p => get (PL N) p y - get (PU N) p m) (positions_of pool_of i)) (get (PL N) p y - get (PU N) p m)
    (in_map (fun p => get (PL N) p y - get (PU N) p m) _ p (positions_of_spec pool_of p P))). lia.
Qed.

Lemma least_row_length : forall p, (p < length pool_of)%nat -> length (nth (nth p pool_of 0%nat) table []) = Datatypes.S m.
Proof.
  intros p P. pose proof (pool_small pools pool_of in_a_pool p P) as S. pose proof its_weights as (_ & near & _).
  destruct (near p 0%nat P ltac:(lia)) as [Lw _].
  unfold least_table. rewrite app_nth1 by (rewrite map_length, seq_length; exact S).
  set (i := nth p pool_of 0%nat) in *.
  rewrite (nth_map _ _ _ (seq 0 pools) i 0%nat []) by now rewrite seq_length. rewrite seq_nth by assumption. cbn [Nat.add].
  rewrite map_length, combine_length, seq_length. lia.
Qed.

Lemma least_at_query :
  (IZR (nth 0 (nth pools table []) 0%Z) * pow2 e
    <= weight M q (length pool_of) q * gain M mu q m y (length pool_of) q * unit)%R.
Proof.
  pose proof (before_query w good m pool_of m_small places) as B. pose proof its_weights as (_ & _ & near).
  unfold least_table. rewrite app_nth2 by (rewrite map_length, seq_length; lia). rewrite map_length, seq_length, Nat.sub_diag. cbn [nth].
  apply least_times_weight; [exact B | exact q_le_m | exact near|]. unfold least_gain. lia.
Qed.
End Least.
End Sound.
